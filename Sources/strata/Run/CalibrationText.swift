import Collectives
import DataPipeline
import ModelSurgery
import Reporting
import Runs
import TensorCore

/// What the layers of a model read of its valid split.
///
/// - Throws: `CommandFailure` where the number is none or there is no text; what reading model and data throws.
func calibrationRows(
    of model: StoredModel, _ folder: String, tokens: Int, data: String?
) throws -> CalibrationRows {
    guard (1...100_000_000).contains(tokens) else {
        throw CommandFailure(.usage, "--calibration-tokens must be 1 to 100000000, but is \(tokens)")
    }
    let configuration = model.configuration
    let corpus = try TrainedModel.corpus(of: folder, at: data, configuration, model.dataFingerprint)
    try corpus.verify(.valid)
    // A group of each direction in turn, so that all have their share.
    let longest = corpus.manifest.maximumLength + 8
    let groups = try configuration.data.directions.map {
        try EvaluationGroups(corpus: corpus, split: .valid, directions: [$0], tokensPerGroup: max(512, longest))
    }
    let most = groups.map(\.count).max() ?? 0
    guard most > 0 else {
        throw CommandFailure(
            .data, "\(corpus.path): must have a valid split to look at, but has none: add one and prepare again")
    }
    let turns = (0..<most).flatMap { turn in groups.filter { turn < $0.count }.map { ($0, turn) } }
    let threads = configuration.parallel.threadsPerRank ?? Processors.available
    return try SimulatedCluster.run(ranks: 1) { alone in
        let display = ProgressDisplay()
        return try CalibrationRows(
            model, groups: turns.lazy.map { $0.0[$0.1] }, tokens: tokens, threads: threads, alone: alone
        ) { display.show("reading text  \($0) groups") }
    }[0]
}
