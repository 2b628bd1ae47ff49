import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// The load-balancing loss, by hand and by differences.
@Suite(.hangLimit) struct LoadBalancingTests {
    private static func configuration(
        _ strata: [Int] = [2, 3], weight: Float = 1, k: Int = 2, capacity: Float? = nil
    ) -> MixtureConfiguration {
        var configuration = MixtureConfiguration(strata: strata)
        (configuration.topK, configuration.capacityFactor) = (k, capacity)
        configuration[LoadBalancing.self].weight = weight
        return configuration
    }

    private static func loss(_ probabilities: [[Float]], capacity: Float? = nil) -> Float {
        LoadBalancing().value(route(probabilities, configuration(capacity: capacity)))
    }

    @Test func itIsComputedBeforeDropping() throws {
        let four: [[Float]] = [[0.6, 0.3, 0.1], [0.5, 0.2, 0.3], [0.7, 0.1, 0.2], [0.2, 0.5, 0.3]]
        // f = [3/4, 1/4, 0], p̄ = [0.5, 0.275, …]: 3 · (0.75 · 0.5 + 0.25 · 0.275).
        for capacity in [nil, 1, 0.5] as [Float?] {
            try expectClose([Self.loss(four, capacity: capacity)], [1.33125], tolerance: 1e-6, "loss")
        }
    }

    @Test func balancedLoadsCostOne() throws {
        try expectClose(
            [Self.loss([[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]])], [1], tolerance: 1e-6, "loss")
    }

    @Test func allOnOneExpertCostsTheirNumber() throws {
        try expectClose(
            [Self.loss(Array(repeating: [1 - 3e-7, 1e-7, 1e-7, 1e-7], count: 5))], [4], tolerance: 1e-5, "loss")
    }

    @Test func oneTokenAndNone() throws {
        try expectClose([Self.loss([[0.1, 0.3, 0.6]])], [3 * 0.6], tolerance: 1e-6, "loss")
        #expect(Self.loss([[1], [1]]) == 1)
        #expect(LoadBalancing().value(route([], Self.configuration([3]))) == 0)
    }

    /// Leading experts are counted, not choices.
    @Test func itDoesNotDependOnTheNumberOfChoices() {
        let tokens: [[Float]] = [[0.6, 0.3, 0.1], [0.5, 0.2, 0.3], [0.2, 0.5, 0.3]]
        let losses = (1...3).map { LoadBalancing().value(route(tokens, Self.configuration(k: $0))) }
        #expect(Set(losses).count == 1)
    }

    /// The block's is the mean over all gates, also over one that no token reaches.
    @Test func theBlocksIsTheMeanOverGates() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([2, 2, 2]), group: communicator), x = tiny.tokens(20, seed: 1)
            func expectMean() throws {
                let outcome = try tiny.forward(x)
                let mean = outcome.decisions.reduce(0) { $0 + LoadBalancing().value($1) } / 3
                try expectClose([outcome["aux"]!], [mean], tolerance: 1e-6, "aux")
            }
            try expectMean()
            tiny.force(gate: 0, to: 5)
            try expectMean()
        }
    }

    /// A figure of interest without a weight too; but then it has no gradient.
    @Test func withoutAWeightItIsReported() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration(weight: 0), group: communicator), x = tiny.tokens(20, seed: 1)
            let aux = try #require(try tiny.forward(x)["aux"])
            #expect(aux >= 0.5)
            _ = try tiny.train(x, doutput: tiny.context.zeros(20, TinyBlock.dim), lossScale: 1)
            #expect(try tiny.store.gradients().values.allSatisfy { $0.allSatisfy { $0 == 0 } })
        }
    }

    @Test(arguments: [1, 2, 3]) func gateGradientsAgreeWithDifferences(k: Int) throws {
        for (weight, capacity) in [(0.7, 0.7), (2, 0.5), (2, nil)] as [(Float, Float?)] {
            try RouterGradients.check(
                Self.configuration(weight: weight, k: k, capacity: capacity), "weight \(weight), \(capacity ?? 0)")
        }
    }

    @Test(arguments: [1, 2, 3], [[3], [2, 3], [1, 1, 1]]) func gradientsAgreeWithDifferences(k: Int, strata: [Int]) throws {
        for order in [StrataOrder.stratified, .stacked] {
            var configuration = Self.configuration(strata, k: k, capacity: 1)
            configuration[TestOrder.self] = TestOrder(order)
            try BlockGradients.check(configuration, dropout: 0.1, tolerance: 1e-2, "\(strata), k \(k), \(order)")
        }
    }

    @Test(arguments: BlockWorld.all) func manyRanksAreOne(world: BlockWorld) throws {
        try world.expectOneRank(Self.configuration(world.strata, capacity: 1))
    }

    @Test func keys() throws {
        #expect(MixtureConfiguration(strata: [4])[LoadBalancing.self].weight == 0.01)
        let read = try WrittenMixture.read(#"{"strata": [4], "aux_loss_weight": 0.25}"#)
        #expect(read[LoadBalancing.self].weight == 0.25 && read.additions == [])
        #expect(try WrittenMixture.isReadAgain(read))
        #expect(
            WrittenMixture.problem(#"{"strata": [4], "aux_loss_weight": -1}"#).contains(
                "moe.aux_loss_weight must be a number of at least 0, but is -1"))
    }
}
