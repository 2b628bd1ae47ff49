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

    /// From a checkpoint of a run, or an export, named by its folder: the same on every rank, whatever a training does to the run
    /// meanwhile. A collective operation.
    static func load(_ folder: String, _ choice: @autoclosure () throws -> CheckpointChoice, on ranks: RankWorld) throws
        -> TrainedModel
    {
        // Ranks translate different sentences, and need not keep step.
        let alone = try ranks.alone()
        let (run, choice) = try ranks.together { (try RunFolder(existing: folder), try choice()) }
        for _ in 0..<mostAttempts {
            // What the first rank has open is the choice of all.
            let first = try ranks.together { ranks.isFirst ? try open(run, choice) : nil }
            let step = Int(try ranks.world.broadcast(Int64(first?.step ?? 0), root: 0))
            let model = try ranks.together { () -> TrainedModel? in
                do {
                    let stored = try first ?? open(run, run.isExport ? choice : .step(step))
                    return try TrainedModel(stored, ranks: ranks, alone: alone)
                } catch CheckpointError.absent where !ranks.isFirst {
                    return nil
                }
            }
            let isLoaded = try ranks.world.allReduce(Int64(model == nil ? 0 : 1), .minimum) == 1
            if let model, isLoaded { return model }
        }
        throw CommandFailure(
            .data, "\(run.checkpoints): checkpoints are removed faster than the ranks can read them; try again")
    }

    /// So often another checkpoint is taken where one was removed before every rank had it open.
    private static let mostAttempts = 10

    private static func open(_ run: RunFolder, _ choice: CheckpointChoice) throws -> StoredModel {
        try StoredModel(run, choice) { error in
            FileHandle.standardError.write(Data("strata: warning: \(error); using another one\n".utf8))
        }
    }

    /// `alone` is a communicator of this rank alone. No collective operation.
    private init(_ stored: StoredModel, ranks: RankWorld, alone: any Communicator) throws {
        (configuration, step, dataFingerprint) = (stored.configuration, stored.step, stored.dataFingerprint)
        tokenizer = try Tokenizer(modelFile: stored.tokenizer)
        model = TranslationModel(
            configuration: configuration.model, vocabulary: tokenizer.vocabularySize,
            context: ComputeContext(threads: ranks.threads(configured: configuration.parallel.threadsPerRank)),
            expertGroup: alone, seed: configuration.training.seed)
        try stored.parameters.load(into: model.store, path: stored.path)
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
