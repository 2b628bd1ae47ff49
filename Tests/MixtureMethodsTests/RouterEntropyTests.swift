import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// The entropy of a gate's scores, by hand and by differences.
@Suite(.hangLimit) struct RouterEntropyTests {
    private static func configuration(_ strata: [Int] = [2, 3], weight: Float = 0.7) -> MixtureConfiguration {
        var configuration = WrittenMixture.mixture(strata, ["aux_loss_weight": "0"])
        configuration[RouterEntropy.self].weight = weight
        configuration.capacityFactor = 1
        return configuration
    }

    private static let q: [[Float]] = [
        [0.50, 0.30, 0.15, 0.05], [0.22, 0.25, 0.29, 0.24], [0.05, 0.10, 0.05, 0.80], [0.60, 0.26, 0.08, 0.06],
    ]

    @Test func itIsTheMeanOverTokens() throws {
        try expectClose([RouterEntropy().value(route(Self.q, Self.configuration()))], [1.064809], tolerance: 1e-5, "mean")
        for (token, entropy) in zip(Self.q, [1.14212, 1.381173, 0.708347, 1.027597] as [Float]) {
            try expectClose([RouterEntropy().value(route([token], Self.configuration()))], [entropy], tolerance: 1e-5, "of one")
        }
        #expect(RouterEntropy().value(route([], Self.configuration([3]))) == 0)
    }

    @Test func theGradientOfTheLogits() throws {
        let configuration = Self.configuration(weight: 1)
        let router = StratifiedRouter(GateSite(name: "gate", configuration: configuration, stratum: 0, dim: 1))
        let decision = route(Self.q, configuration), none = [Float](repeating: 0, count: decision.experts.count)
        let gradient = router.backward(ComputeContext(threads: 1), decision, dweights: none, lossScale: 1).logits
        try expectClose(
            gradient.rows(0..<1).elements, [-0.056122, 0.004639, 0.028312, 0.02317], tolerance: 1e-4, "of token 0")
    }

    @Test func aScoreOfZeroHasNone() {
        let decision = route([[1, 0, 0]], Self.configuration(weight: 1)), context = ComputeContext(threads: 1)
        let gradient = context.zeros(1, 3)
        RouterEntropy().addShareGradient(decision, scale: 1, to: gradient)
        #expect(RouterEntropy().value(decision) == 0 && gradient.elements == [-1, 0, 0])
    }

    @Test func gradientsAgreeWithDifferences() throws {
        try RouterGradients.check(Self.configuration(), "gate")
        try BlockGradients.check(Self.configuration(), dropout: 0.1, tolerance: 1e-2, "block")
    }

    @Test(arguments: BlockWorld.few) func manyRanksAreOne(world: BlockWorld) throws {
        try world.expectOneRank(Self.configuration(world.strata))
    }

    @Test func keys() throws {
        let read = try WrittenMixture.read(#"{"strata": [4], "router_entropy": 0.001}"#)
        #expect(read[RouterEntropy.self].weight == 0.001 && read.additions == ["router entropy"])
        #expect(try WrittenMixture.isReadAgain(read))
        #expect(!WrittenMixture.keys(MixtureConfiguration(strata: [4])).contains("router_entropy"))
    }
}
