import Autograd
import Collectives
import MixtureMethods
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import TransformerModel
import _TestSupport

/// Computing hidden activations again in backward changes memory, and not one bit of the gradients.
@Suite struct RecomputationTests {
    private struct Outcome: Sendable {
        let gradients: [String: [Float]]
        let peakBytes: Int
    }

    private static func update(
        _ mixture: MixtureConfiguration?, recomputing: Bool, _ world: any Communicator
    ) throws -> Outcome {
        let model = try TinyModel.make(mixture, group: world, dropout: 0.2)
        let pairs = SentencePairs((0..<40).map { _ in (source: 20, target: 20) }, seed: UInt64(world.rank + 1))
        let tape = Tape(model.context, recording: true, recomputing: recomputing)
        _ = try pairs.trainingLoss(
            model, on: tape, key: RandomKey(seed: 5), gradientScale: 1 / Float(pairs.targetTokens), auxiliaryScale: 1)
        try tape.backward()
        return Outcome(gradients: try model.store.gradients(), peakBytes: model.context.allocator.peakBytesInUse)
    }

    enum Model: CaseIterable, Sendable {
        case dense, vanilla, stratified, stacked, conditional

        var mixture: MixtureConfiguration? {
            guard self != .dense else { return nil }
            var mixture = MixtureConfiguration(strata: self == .vanilla ? [4] : [2, 2])
            mixture[Stacking.self].isStacked = self == .stacked
            mixture[ConditionalRouting.self].settings = self == .conditional ? .init() : nil
            return mixture
        }
    }

    @Test(arguments: Model.allCases, [1, 2])
    func gradientsAreTheSameAndMemoryIsLess(example: Model, ranks: Int) throws {
        func run(_ recomputing: Bool) throws -> [Outcome] {
            try SimulatedCluster.run(ranks: ranks) { try Self.update(example.mixture, recomputing: recomputing, $0) }
        }
        for (kept, recomputed) in zip(try run(false), try run(true)) {
            #expect(kept.gradients == recomputed.gradients)
            #expect(recomputed.peakBytes < kept.peakBytes)
        }
    }
}
