import TensorCore

/// The load-balancing loss of one gate, (8–11): V Σ_e f_e p̄_e, with f_e the fraction of the tokens whose first choice is e and
/// p̄_e the mean probability. Equal loads give 1; no tokens give 0.
public enum LoadBalancingLoss {
    static func value(fractions: [Float], probabilities: Tensor) -> Float {
        guard probabilities.rows > 0 else { return 0 }
        let visible = probabilities.columns
        var total = 0.0
        for expert in 0..<visible where fractions[expert] > 0 {
            var sum = 0.0
            for token in 0..<probabilities.rows { sum += Double(probabilities[token, expert]) }
            total += Double(fractions[expert]) * sum
        }
        return Float(Double(visible) * total / Double(probabilities.rows))
    }

    /// Its gradient with respect to every token's probability of an expert: V f_e / tokens. f has none.
    static func gradient(fractions: [Float], tokens: Int) -> [Float] {
        fractions.map { Float(fractions.count) * $0 / Float(max(tokens, 1)) }
    }
}
