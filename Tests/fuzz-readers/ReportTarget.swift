import Evaluation
import Foundation
import Reporting

/// A run's metrics and scores, damaged, in a report.
enum ReportTarget {
    private static let tokens = [
        "{", "}", "[", "]", ",", ":", "\"", "null", "true", "\"nan\"", "\"inf\"", "\"-inf\"", "1e308", "-1e308", "5e-324",
        "1e-200",
        "load", "loss", "update", "valid_loss", "earlier", "directions", "\n", "\u{0}", "<b>", "é",
    ]

    private static let lines = """
        {"aux":1.1,"dropped_fraction":0.1,"gradient_norm":1.5,"learning_rate":0.001,"load":[[3,1,2,2],[0,0,4,0]],"loss":2.5,\
        "nll":2,"rounds_mean":1.2,"skipped":false,"target_tokens":100,"tokens_per_second":1000,"update":1}
        {"update":1,"valid_loss":2,"valid_nll":1.5,"valid_perplexity":4.5,"valid_rounds_mean":1.5,"valid_tokens":80}
        {"aux":1.1,"dropped_fraction":0.1,"gradient_norm":15,"learning_rate":0.001,"load":[[3,1,2,2],[0,0,4,0]],"loss":2.25,\
        "nll":2,"rounds_mean":1.3,"skipped":false,"target_tokens":100,"tokens_per_second":1000,"update":2}
        {"aux":1.1,"dropped_fraction":0.1,"gradient_norm":"nan","learning_rate":0.001,"load":[[3,1,2,2],[0,0,4,0]],"loss":"inf",\
        "nll":2,"rounds_mean":1.3,"skipped":true,"target_tokens":100,"tokens_per_second":1000,"update":7}

        """
    private static let scores = """
        {"average":{"bleu":31.5,"chrf":50,"exact":2},"beam":5,"directions":{"eng-cat":{"bleu":31.5,"chrf":50,"exact":2,\
        "rounds_decoder":1.5,"rounds_encoder":1.25,"sentences":10}},"earlier":[{"average":{"bleu":3,"chrf":9,"exact":0},"update":1}],\
        "length_penalty":1,"signature":"tok:13a","split":"test","update":2}
        """

    static func run(_ random: inout Mutator, _ folder: String) throws -> Bool {
        let history = TrainingHistory(jsonLines: random.changed(Data(lines.utf8), tokens: tokens))
        let result = try? JSONDecoder().decode(
            EvaluationResult.self, from: random.changed(Data(scores.utf8), tokens: tokens))
        let runs = ["one", "two"].prefix(1 + random.below(2)).map { name in
            RunFigures(
                name: name, method: "SMoE-2-2", parameters: 1000, flopsPerToken: 2000, gates: [0..<4, 2..<4],
                plannedUpdates: 10,
                directions: ["eng-cat"], configuration: [("model.dim", "16")], history: history,
                evaluations: result.map { [$0] } ?? [])
        }
        return !Report(runs: runs, date: "today").html.isEmpty && result != nil
    }
}
