import Autograd
import Collectives
import MixtureMethods
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import TransformerModel
import _TestSupport

/// One update's loss and gradients do not depend on how many ranks compute it, dropout and sampling included.
@Suite struct WorldSizeInvarianceTests {
    struct Model: Sendable, CustomTestStringConvertible {
        var strata: [Int] = []
        var k = 2
        var capacity: Float?
        var expertParallel: Int?
        var masking: Float = 0
        var stacked = false
        var conditional = false
        var testDescription: String {
            strata.isEmpty
                ? "dense"
                : "strata \(strata), top \(k), capacity \(capacity ?? 0), expert-parallel \(expertParallel ?? 0)"
                    + (stacked ? ", stacked" : "") + (conditional ? ", conditional" : "")
        }

        var mixture: MixtureConfiguration? {
            guard !strata.isEmpty else { return nil }
            var mixture = MixtureConfiguration(strata: strata)
            mixture.topK = k
            mixture.capacityFactor = capacity
            mixture[ExpertOutputMasking.self].probability = masking
            mixture[Stacking.self].isStacked = stacked
            if conditional {
                mixture[ConditionalRouting.self].settings = .init()
                mixture[ConditionalRouting.self].settings?.weight = 0.5
            }
            mixture[LoadBalancing.self].weight = 1
            return mixture
        }
    }

    static let models = [
        Model(), Model(strata: [4, 4], capacity: 1), Model(strata: [4, 4]), Model(strata: [3, 5], k: 1, capacity: 1),
        Model(strata: [4], k: 1), Model(strata: [2, 2, 2], capacity: 2, masking: 0.1),
        // Replicas wherever there are ranks enough.
        Model(strata: [4, 4], capacity: 1, expertParallel: 1), Model(strata: [8, 9], capacity: 1),
        Model(strata: [4, 4], capacity: 1, stacked: true), Model(strata: [4], capacity: 1, conditional: true),
        Model(strata: [3, 4], masking: 0.1, conditional: true),
    ]

    /// The update: four token groups of different sizes.
    private static let groups = [
        SentencePairs([(5, 6), (9, 4), (1, 1)], seed: 1), SentencePairs([(12, 11)], seed: 2),
        SentencePairs([(3, 3), (4, 5), (2, 6), (7, 2)], seed: 3), SentencePairs([(1, 9)], seed: 4),
    ]
    private static let none = SentencePairs([], seed: 0)
    private static let totalTokens = groups.reduce(0) { $0 + $1.targetTokens }

    /// What this rank's groups, `indices`, cost; their gradients are added to the model's.
    private static func run(_ model: TranslationModel, _ indices: [Int]) throws -> [Double] {
        var sums = [0.0, 0, 0]
        for index in indices {
            let group = index < groups.count ? groups[index] : none
            let share = Float(group.targetTokens) / Float(totalTokens)
            let tape = Tape(model.context, recording: true)
            let key = RandomKey(seed: 42).derived(1).derived(index)
            let loss = try group.trainingLoss(
                model, on: tape, key: key, gradientScale: 1 / Float(totalTokens), auxiliaryScale: share)
            try tape.backward()
            sums[0] += loss.output.smoothed / Double(totalTokens)
            sums[1] += loss.output.negativeLogLikelihood / Double(totalTokens)
            for figure in loss.figures where figure.name == LoadBalancing.figure {
                sums[2] += Double(figure.value * share)
            }
        }
        return sums
    }

    @Test(arguments: models, [2, 3, 4, 8]) func anyNumberOfRanks(example: Model, ranks: Int) throws {
        let expected = try alone { communicator in
            let model = try TinyModel.make(example.mixture, group: communicator, dropout: 0.2)
            return (losses: try Self.run(model, [0, 1, 2, 3]), gradients: try model.store.gradients())
        }
        let largest = expected.gradients.values.reduce(0 as Float) { $1.reduce($0) { max($0, abs($1)) } }
        let losses = try SimulatedCluster.run(ranks: ranks) { world in
            let layout = try ParallelLayout(ranks: ranks, expertParallel: example.expertParallel, strata: example.strata)
            let group = try world.split(color: layout.replica(ofRank: world.rank), key: world.rank)
            let replicas = try world.split(color: layout.place(ofRank: world.rank), key: world.rank)
            let model = try TinyModel.make(example.mixture, group: group, dropout: 0.2)
            // As many rounds on every rank: those out of groups step along with empty ones.
            let rounds = (Self.groups.count + ranks - 1) / ranks
            var losses = try Self.run(model, (0..<rounds).map { $0 * ranks + world.rank })
            try world.allReduce(&losses, .sum)
            try world.allReduce(model.store.section(.replicated).gradients.buffer, .sum)
            model.store.addSources()
            try replicas.allReduce(model.store.section(.expert).gradients.buffer, .sum)
            for (name, gradient) in try model.store.gradients() {
                try expectClose(gradient, expected.gradients[name]!, tolerance: 1e-5, floor: 0.1 * largest, name)
            }
            return losses
        }
        for losses in losses {
            for (loss, reference) in zip(losses, expected.losses) {
                #expect(
                    abs(loss - reference) <= 1e-6 * abs(reference), "\(losses) on \(ranks) ranks, \(expected.losses) on one")
            }
        }
    }

    /// The same update twice, on as many ranks, gives the same bits.
    @Test(arguments: [1, 4]) func determinism(ranks: Int) throws {
        @Sendable func once() throws -> [[String: [Float]]] {
            try SimulatedCluster.run(ranks: ranks) { world in
                let model = try TinyModel.make(Self.models[1].mixture, group: world, dropout: 0.2)
                _ = try Self.run(model, Array(stride(from: world.rank, to: 4, by: ranks)))
                try world.allReduce(model.store.section(.replicated).gradients.buffer, .sum)
                return try model.store.gradients()
            }
        }
        #expect(try once() == once())
    }
}
