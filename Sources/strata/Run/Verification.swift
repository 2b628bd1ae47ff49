import Collectives
import DataPipeline
import ModelSurgery
import Reporting
import Runs
import TensorCore
import TransformerModel

/// How far a model is from the one that it was made of: both run over the first groups of the valid split of every direction, the
/// translation given. A sentence for people.
///
/// - Throws: `CommandFailure` if `isExact` promises that they are the same, and logits differ by more than 1e-4 of the largest.
func verification(
    of result: StoredModel, from source: StoredModel, _ folder: String, data: String?, isExact: Bool
) throws -> String {
    let corpus = try TrainedModel.corpus(of: folder, at: data, source.configuration, source.dataFingerprint)
    try corpus.verify(.valid)
    let groups = try source.configuration.data.directions.flatMap {
        try EvaluationGroups(
            corpus: corpus, split: .valid, directions: [$0], tokensPerGroup: max(512, corpus.manifest.maximumLength + 8),
            limit: 64
        ).prefix(1)
    }
    guard !groups.isEmpty else {
        throw CommandFailure(.data, "\(corpus.path): must have a valid split for --verify, but has none")
    }
    let vocabulary = corpus.vocabularySize, batches = groups.map(\.batch)
    let threads = source.configuration.parallel.threadsPerRank ?? Processors.available
    let comparison = try SimulatedCluster.run(ranks: 1) { alone in
        let models = try [source, result].map { stored in
            let model = TranslationModel(
                forInference: stored.configuration.model, vocabulary: vocabulary,
                context: ComputeContext(threads: threads), expertGroup: alone)
            try stored.parameters.load(into: model.store, path: stored.path)
            model.packForInference()
            return model
        }
        return try ModelComparison(models[0], models[1], on: batches)
    }[0]
    let difference = NumberText.decimal(Double(comparison.relativeDifference) * 1e6, 1)
    guard !isExact || comparison.relativeDifference <= 1e-4 else {
        throw CommandFailure(
            .internal,
            "the model must compute the same as \(source.path), but its logits differ by up to \(difference) millionths of the largest: "
                + "nothing was written")
    }
    return "loss \(NumberText.decimal(comparison.losses.0, 6)) before, \(NumberText.decimal(comparison.losses.1, 6)) after; "
        + "logits differ by up to \(difference) millionths of the largest, on \(comparison.tokens) tokens"
}
