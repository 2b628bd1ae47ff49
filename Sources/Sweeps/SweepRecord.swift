import Evaluation
import Files
import Foundation
import Runs

/// `sweep.json` of a run's folder: what a sweep has done with it, so that it is not done again.
struct SweepRecord: Codable, Equatable {
    /// What training depended on, as `path: value`; how it was spread over ranks and threads is left out.
    var configuration: [String]
    /// Training has ended with status 0: it is not gone on with.
    var isTrained = false
    /// The arguments of the evaluation, and what it found.
    var evaluationArguments: [String]?
    var evaluation: EvaluationResult?
    /// The arguments of the analysis, once it is done.
    var analysisArguments: [String]?

    init(_ configuration: RunConfiguration) {
        self.configuration = configuration.values.filter { !$0.path.hasPrefix("parallel.") }.map { "\($0.path): \($0.value)" }
    }

    /// What was done under this configuration; nothing if there is no record, or one of another configuration.
    init(of job: SweepJob) {
        let new = SweepRecord(job.configuration)
        let data = FileManager.default.contents(atPath: job.recordFile)
        let old = data.flatMap { try? JSONDecoder().decode(SweepRecord.self, from: $0) }
        self = old?.configuration == new.configuration ? old! : new
    }

    /// Replaces the file at once: whatever happens, it is either as it was or whole.
    ///
    /// - Throws: `FileError`.
    func write(to path: String) throws {
        try FileWriter.replace(path, with: JSONText.pretty(self))
    }

    enum CodingKeys: String, CodingKey {
        case configuration, evaluation
        case isTrained = "trained"
        case evaluationArguments = "evaluation_arguments"
        case analysisArguments = "analysis_arguments"
    }
}
