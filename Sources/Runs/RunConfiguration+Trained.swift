import Collectives
import MixtureOfExperts
import TensorCore
import Training
import TransformerModel

extension RunConfiguration {
    /// Refuses what this machine, or the model, cannot be trained as on the ranks of `world`. Not a collective operation.
    ///
    /// - Throws: `PrecisionError` where the processor cannot compute as configured; `PlacementError`, `RunError` and `FileError` where the
    ///   ranks cannot be laid out, run token groups in turns, or have experts as configured; `RunError` where `training.train` asks for what
    ///   the model does not have.
    public func requireTrainable(vocabulary: Int, on world: any Communicator) throws {
        try GEMM.checkTraining(in: model.compute)
        let layout = try ParallelLayout(
            ranks: world.size, expertParallel: parallel.expertParallel, mixture: model.mixture)
        _ = try lanes(layout, movesWhileComputing: world.movesWhileComputing)
        _ = try placements(layout)
        try requireTrainedParameters(vocabulary: vocabulary)
    }

    /// - Throws: `RunError` where `training.train` asks for what the model does not have.
    private func requireTrainedParameters(vocabulary: Int) throws {
        let trained = training.trained
        guard trained != .all else { return }
        // A rank holds some experts alone.
        let slices = try SimulatedCluster.run(ranks: 1) { [model] alone in
            TranslationModel.parameters(configuration: model, vocabulary: vocabulary, expertGroup: alone)
                .map { $0.slices.map(\.name) }
        }[0]
        if let pattern = trained.idlePatterns(among: slices.flatMap { $0 }).first {
            throw RunError(
                .usage,
                "training.train must be patterns of the model's parameters, but \"\(pattern)\" fits none: names are those of "
                    + "checkpoints, such as \(slices[0][0])")
        }
        guard slices.joined().contains(where: trained.contains) else {
            throw RunError(
                .usage, "training.train must name some of the model's parameters, but it has no \(trained.patterns[0])")
        }
        for names in slices where Set(names.map(trained.contains)).count > 1 {
            throw RunError(
                .usage,
                "training.train must have all or none of \(names.joined(separator: ", ")), which are computed together")
        }
    }
}
