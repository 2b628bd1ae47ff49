import Checkpoints
import Collectives
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
    static func load(
        _ folder: String, _ choice: @autoclosure () throws -> CheckpointChoice, averaged: Bool = false, on ranks: RankWorld,
        precision: PackedWeights.Precision = .float32
    ) throws -> TrainedModel {
        // Ranks translate different sentences, and need not keep step.
        let alone = try ranks.alone()
        let (run, choice) = try ranks.together { (try RunFolder(existing: folder), try choice()) }
        for _ in 0..<mostAttempts {
            // What the first rank has open is the choice of all.
            let first = try ranks.together { ranks.isFirst ? try open(run, choice, averaged) : nil }
            let step = Int(try ranks.world.broadcast(Int64(first?.step ?? 0), root: 0))
            let model = try ranks.together { () -> TrainedModel? in
                do {
                    let stored = try first ?? open(run, run.isExport ? choice : .step(step), averaged)
                    return try TrainedModel(stored, ranks: ranks, alone: alone, precision)
                } catch CheckpointError.absent where !ranks.isFirst {
                    return nil
                }
            }
            let isLoaded = try ranks.world.allReduce(Int64(model == nil ? 0 : 1), .minimum) == 1
            if let model, isLoaded { return model }
        }
        return try ranks.together {
            throw CommandFailure(
                .data, "\(run.checkpoints): checkpoints are removed faster than the ranks can read them; try again")
        }
    }

    /// So often another checkpoint is taken where one was removed before every rank had it open.
    private static let mostAttempts = 10

    private static func open(_ run: RunFolder, _ choice: CheckpointChoice, _ averaged: Bool) throws -> StoredModel {
        try StoredModel(run, choice, averaged: averaged) { error in
            warn("\(error); using another one")
        }
    }

    /// `alone` is a communicator of this rank alone. No collective operation.
    private init(
        _ stored: StoredModel, ranks: RankWorld, alone: any Communicator, _ precision: PackedWeights.Precision
    ) throws {
        (configuration, step, dataFingerprint) = (stored.configuration, stored.step, stored.dataFingerprint)
        tokenizer = try Tokenizer(modelFile: stored.tokenizer)
        model = TranslationModel(
            forInference: configuration.model, vocabulary: tokenizer.vocabularySize,
            context: ComputeContext(threads: ranks.threads(configured: configuration.parallel.threadsPerRank)),
            expertGroup: alone, experts: try stored.experts())
        try stored.parameters.load(into: model.store, path: stored.path)
        if let absent = model.absentChoice {
            throw CheckpointError.damaged(path: stored.path, reason: "\(absent) may be chosen, but does not exist")
        }
        model.packForInference(precision: precision)
    }
}
