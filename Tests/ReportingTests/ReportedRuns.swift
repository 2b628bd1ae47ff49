import Evaluation
import Foundation

@testable import Reporting

/// Runs with figures made up.
enum ReportedRuns {
    private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures")

    /// `strata analyze`'s example: 2-2, one direction, a block on each side.
    static func analysis() throws -> RoutingAnalysis {
        try JSONDecoder().decode(
            RoutingAnalysis.self, from: Data(contentsOf: fixtures.appendingPathComponent("routing-analysis/analysis.json")))
    }

    static func history(
        updates: Int = 20, load: [[Int]] = [[3, 1, 2, 2], [0, 0, 4, 0]], figures: [String: String] = ["aux": "1.1"]
    ) -> TrainingHistory {
        let lines = (1...updates).map { update in
            MetricsLine.update(update, loss: "\(8 / Double(update))", load: load, figures: figures)
                + (update % 10 == 0 ? "\n" + MetricsLine.validation(update) : "")
        }
        return TrainingHistory(jsonLines: Data((lines.joined(separator: "\n") + "\n").utf8))
    }

    static func evaluation(_ bleu: Double, split: String = "test", update: Int = 20, rounds: Double? = nil) -> EvaluationResult
    {
        let scores = EvaluationResult.Scores(
            bleu: bleu, chrf: 60, exact: 12.5, sentences: 8, encoderRequestedCapacity: rounds,
            decoderRequestedCapacity: rounds.map { $0 + 0.5 })
        return EvaluationResult(
            split: split, update: update, beam: 5, lengthPenalty: 1, average: scores,
            directions: ["eng-cat": scores, "cat-eng": scores], signature: "nrefs:1|tok:13a", chrfSignature: "nrefs:1|nc:6")
    }

    /// A finished, evaluated and analysed run of SMoE-2-2.
    static func mixture(name: String = "smoe") throws -> RunFigures {
        RunFigures(
            name: name, method: "SMoE-2-2", parameters: 73_165_824, flopsPerToken: 217e6, gates: [0..<4, 2..<4],
            figureTitles: ["aux": "load-balancing loss"], plannedUpdates: 20, directions: ["eng-cat", "cat-eng"],
            configuration: [("model.dim", "512"), ("model.moe.strata", "[2, 2]"), ("data.path", "a")], history: history(),
            evaluations: [evaluation(40.4, rounds: 1.5)], analysis: try analysis())
    }

    static func dense(name: String = "dense") -> RunFigures {
        RunFigures(
            name: name, method: "dense", parameters: 60_000_000, flopsPerToken: 166.97e6, gates: [], plannedUpdates: 40,
            directions: ["eng-cat", "cat-eng"],
            configuration: [("model.dim", "512"), ("model.moe", "none"), ("data.path", "a")],
            history: history(load: [], figures: [:]),
            evaluations: [evaluation(37.83)])
    }

    /// A run that has just been started.
    static func begun() -> RunFigures {
        RunFigures(
            name: "begun", method: "SMoE-2-2", parameters: nil, flopsPerToken: nil, gates: [0..<4, 2..<4], plannedUpdates: 1000,
            directions: ["eng-cat"], configuration: [("model.dim", "512")], history: TrainingHistory())
    }

    static func report(_ runs: RunFigures...) -> Report { Report(runs: runs, date: "2026-01-02 03:04:05 UTC") }
}
