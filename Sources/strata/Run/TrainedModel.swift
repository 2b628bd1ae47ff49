import Checkpoints
import Collectives
import ConfigurationForms
import DataPipeline
import Foundation
import ModelSurgery
import Runs
import TensorCore
import TransformerModel

/// A trained model, loaded for use: all experts on this rank.
struct TrainedModel {
    let configuration: RunConfiguration
    let tokenizer: Tokenizer
    let model: TranslationModel
    /// Updates that the model was trained for.
    let step: Int

    /// The fingerprint of the prepared data that the model was trained on.
    let dataFingerprint: String

    /// From a checkpoint of a run, or an export. `alone` is a communicator of this rank alone: ranks translate different sentences,
    /// and need not keep step. Making the model is no collective operation.
    init(
        _ run: RunFolder, _ choice: CheckpointChoice = .latest, ranks: RankWorld, alone: any Communicator, threads: Int? = nil
    ) throws {
        let stored = try StoredModel(run, choice) { error in
            if ranks.isFirst { FileHandle.standardError.write(Data("strata: warning: \(error); using another one\n".utf8)) }
        }
        (configuration, step, dataFingerprint) = (stored.configuration, stored.step, stored.dataFingerprint)
        tokenizer = try Tokenizer(modelFile: run.tokenizer)
        model = TranslationModel(
            configuration: configuration.model, vocabulary: tokenizer.vocabularySize,
            context: ComputeContext(threads: threads ?? ranks.threads(configured: configuration.parallel.threadsPerRank)),
            expertGroup: alone, seed: configuration.training.seed)
        try stored.parameters.load(into: model.store, path: run.path)
    }

    /// The prepared data that the model was trained on.
    ///
    /// - Throws: `DataError` if there is none, `CommandFailure` if it is other data; `folder` is the run's.
    func corpus(of folder: String) throws -> PreparedCorpus {
        let corpus = try PreparedCorpus(path: configuration.data.prepared)
        guard corpus.fingerprint == dataFingerprint else {
            throw CommandFailure(
                .data,
                "\(corpus.path): must be the data that the model was trained on (fingerprint \(dataFingerprint)), but is "
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
        let nearest = nearestName(to: text, among: names).map { "; did you mean \($0)?" } ?? "."
        throw CommandFailure(
            .usage,
            "--direction must be one that the model was trained for, but is \(text)\(nearest) "
                + "Directions: \(names.joined(separator: ", "))")
    }

    /// The directions that these texts name, all trained ones for none.
    ///
    /// - Throws: `CommandFailure` for text that names no trained direction, and for a direction that is named twice.
    func directions(named names: [String]) throws -> [Direction] {
        let named = try names.map(direction)
        if let repeated = named.indices.first(where: { named[..<$0].contains(named[$0]) }) {
            throw CommandFailure(.usage, "--direction must name a direction once, but names \(named[repeated]) twice")
        }
        return named.isEmpty ? directions : named
    }

    /// The directions of `directions(named:)` that a split has text for.
    ///
    /// - Throws: `CommandFailure`, also if there are none.
    func available(_ names: [String], _ corpus: PreparedCorpus, _ split: Split) throws -> [Direction] {
        let chosen = try directions(named: names), available = chosen.filter { corpus.pairs($0, split) > 0 }
        guard !available.isEmpty else {
            throw CommandFailure(
                .data,
                "\(corpus.path): has no \(split.rawValue) split for \(chosen.map(\.description).joined(separator: ", ")); "
                    + "choose another --split, or add the files and prepare again")
        }
        return available
    }
}
