import Collectives
import DataPipeline
import Foundation
import TensorCore
import Training
import TransformerModel

/// A run's newest sound checkpoint, loaded for use: all experts on this rank.
struct TrainedModel {
    let configuration: RunConfiguration
    let tokenizer: Tokenizer
    let model: TranslationModel
    /// Updates that the model was trained for.
    let step: Int

    /// The fingerprint of the prepared data that the model was trained on.
    let dataFingerprint: String

    /// `alone` is a communicator of this rank alone: ranks translate different sentences, and need not keep step. Making the
    /// model is no collective operation.
    init(_ run: RunFolder, ranks: RankWorld, alone: any Communicator, threads: Int? = nil) throws {
        configuration = try RunConfiguration.load(file: run.configuration)
        tokenizer = try Tokenizer(modelFile: run.tokenizer)
        let reader = try CheckpointStore.openNewest(run.checkpoints) { error in
            if ranks.isFirst { FileHandle.standardError.write(Data("strata: warning: \(error); using an older one\n".utf8)) }
        }
        model = TranslationModel(
            configuration: configuration.model, vocabulary: tokenizer.vocabularySize,
            context: ComputeContext(threads: threads ?? ranks.threads(configured: configuration.parallel.threadsPerRank)),
            expertGroup: alone, seed: configuration.training.seed)
        try reader.load(into: model.store)
        step = reader.manifest.step
        dataFingerprint = reader.manifest.identity[RunConfiguration.dataIdentity] ?? ""
    }

    /// The prepared data that the model was trained on.
    ///
    /// - Throws: `DataError` if there is none, `CommandFailure` if it is other data; `folder` is the run's.
    func corpus(of folder: String) throws -> PreparedCorpus {
        let corpus = try PreparedCorpus(path: configuration.data.prepared)
        guard corpus.fingerprint == dataFingerprint else {
            throw CommandFailure(
                .data, "\(corpus.path): must be the data that the model was trained on (fingerprint \(dataFingerprint)), but is "
                    + "other data (\(corpus.fingerprint)); prepare again with strata prepare \(folder)/config.yaml")
        }
        return corpus
    }

    /// The directions that the model was trained for.
    var directions: [Direction] { configuration.data.directions }

    /// - Throws: `CommandFailure` for text that names no trained direction.
    func direction(_ text: String) throws -> Direction {
        if let direction = Direction(text), directions.contains(direction) { return direction }
        let names = directions.map(\.description)
        let nearest = nearestName(to: text, among: names).map { "; did you mean \($0)?" } ?? ""
        throw CommandFailure(
            .usage, "--direction must be one that the model was trained for, but is \(text)\(nearest) "
                + "Directions: \(names.joined(separator: ", "))")
    }
}
