import Checkpoints
import Collectives
import DataPipeline
import Foundation
import ModelSurgery
import Runs
import TensorCore
import Training
import TransformerModel

/// A trained model, loaded for use.
struct TrainedModel {
    let configuration: RunConfiguration
    let tokenizer: Tokenizer
    let model: TranslationModel
    /// The ranks that its experts are spread over, this one alone where it has them all.
    let expertGroup: any Communicator
    /// Updates that the model was trained for.
    let step: Int

    /// The fingerprint of the prepared data that the model was trained on.
    let dataFingerprint: String

    /// From a checkpoint of a run, or an export, named by its folder: the same on every rank, whatever a training does to the run
    /// meanwhile. A collective operation.
    ///
    /// - Parameter spreadsExperts: whether as many ranks as can be share the experts, and keep step; else every rank has all.
    static func load(
        _ folder: String, _ choice: @autoclosure () throws -> CheckpointChoice, averaged: Bool = false, on ranks: RankWorld,
        precision: PackedWeights.Precision = .float32, spreadsExperts: Bool = false
    ) throws -> TrainedModel {
        let alone = try ranks.alone()
        let (run, choice) = try ranks.together { (try RunFolder(existing: folder), try choice()) }
        for _ in 0..<mostAttempts {
            // What the first rank has open is the choice of all.
            let first = try ranks.together { ranks.isFirst ? try open(run, choice, averaged) : nil }
            let step = Int(try ranks.world.broadcast(Int64(first?.step ?? 0), root: 0))
            let stored = try ranks.together { () -> StoredModel? in
                do {
                    return try first ?? open(run, run.isExport ? choice : .step(step), averaged)
                } catch CheckpointError.absent where !ranks.isFirst {
                    return nil
                }
            }
            guard try ranks.world.allReduce(stored == nil ? 0 : 1, .minimum) == 1, let stored else { continue }
            var group = alone
            if spreadsExperts {
                let mixture = stored.configuration.model.mixture
                group = try ParallelGroups(world: ranks.world, expertParallel: nil, mixture: mixture).experts
            }
            let model = try ranks.together { () -> TrainedModel? in
                do {
                    return try TrainedModel(stored, ranks: ranks, expertGroup: group, precision)
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

    /// No collective operation.
    private init(
        _ stored: StoredModel, ranks: RankWorld, expertGroup: any Communicator, _ precision: PackedWeights.Precision
    ) throws {
        self.expertGroup = expertGroup
        (configuration, step, dataFingerprint) = (stored.configuration, stored.step, stored.dataFingerprint)
        tokenizer = try Tokenizer(modelFile: stored.tokenizer)
        model = TranslationModel(
            forInference: configuration.model, vocabulary: tokenizer.vocabularySize,
            context: ComputeContext(threads: ranks.threads(configured: configuration.parallel.threadsPerRank)),
            expertGroup: expertGroup, experts: try stored.experts())
        try stored.parameters.load(into: model.store, path: stored.path)
        if let absent = model.absentChoice {
            throw CheckpointError.damaged(path: stored.path, reason: "\(absent) may be chosen, but does not exist")
        }
        model.packForInference(precision: precision)
    }
}
