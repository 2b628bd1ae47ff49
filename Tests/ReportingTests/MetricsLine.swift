/// Lines of `metrics.jsonl`.
enum MetricsLine {
    /// `figures`: what blocks report, by name, as JSON.
    static func update(
        _ update: Int, loss: String = "2.5", norm: String = "1.5", tokens: Int = 100, speed: Double = 1000,
        rounds: Double = 1.25,
        dropped: Double = 0.05, load: [[Int]] = [[3, 1, 2, 2], [0, 0, 4, 0]], figures: [String: String] = ["aux": "1.1"]
    ) -> String {
        let figures = figures.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\($0.value)," }.joined()
        return """
            {\(figures)"dropped_fraction":\(dropped),"gradient_norm":\(norm),"learning_rate":0.001,"load":\(load),"loss":\(loss),\
            "nll":2,"rounds_mean":\(rounds),"skipped":false,"target_tokens":\(tokens),"tokens_per_second":\(speed),"update":\(update)}
            """
    }

    static func validation(_ update: Int, loss: String = "2") -> String {
        """
        {"update":\(update),"valid_loss":\(loss),"valid_nll":1.5,"valid_perplexity":4.5,"valid_rounds_mean":1.5,"valid_tokens":80}
        """
    }
}
