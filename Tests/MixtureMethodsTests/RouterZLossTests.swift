import Foundation
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

@Suite(.hangLimit) struct RouterZLossTests {
    private static func configuration(_ strata: [Int] = [2, 3], weight: Float = 0.5, k: Int = 2) -> MixtureConfiguration {
        var configuration = testedMixture(strata)
        configuration.topK = k
        configuration[RouterZLoss.self].weight = weight
        return configuration
    }

    @Test func byHand() throws {
        let context = ComputeContext()
        var configuration = MixtureConfiguration(strata: [2])
        (configuration.topK, configuration.capacityFactor) = (1, nil)
        configuration[RouterZLoss.self].weight = 0.5
        let router = StratifiedRouter(GateSite(name: "gate", configuration: configuration, stratum: 0, dim: 1))
        // Sums of 4 and of e² + e² = 2 e².
        let decision = router.route(
            context, logits: context.tensor([log(1), log(3), 2, 2], rows: 2, columns: 2), rows: [0, 1],
            key: RandomKey(seed: 1), isTraining: true)
        let sums: [Float] = [log(4), 2 + log(2)]
        let expected = (sums[0] * sums[0] + sums[1] * sums[1]) / 2
        try expectClose([RouterZLoss().value(decision)], [expected], tolerance: 1e-6, "loss")
        // What is reported is the value before the weight.
        let figure = try #require(router.losses(decision).first { $0.name == "z_loss" })
        try expectClose([figure.value], [expected], tolerance: 1e-6, "figure")
        let gradient = context.zeros(2, 2)
        RouterZLoss().addLogitGradient(decision, scale: 3, to: gradient)
        try expectClose(
            gradient.elements, [3 * sums[0] / 4, 3 * sums[0] * 3 / 4, 3 * sums[1] / 2, 3 * sums[1] / 2], tolerance: 1e-6,
            "gradient")
    }

    @Test func largeLogitsDoNotOverflow() throws {
        let context = ComputeContext()
        let router = StratifiedRouter(
            GateSite(name: "gate", configuration: Self.configuration([2]), stratum: 0, dim: 1))
        let decision = router.route(
            context, logits: context.tensor([300, 300, -300, -300], rows: 2, columns: 2), rows: [0, 1],
            key: RandomKey(seed: 1), isTraining: true)
        let expected = (pow(300 + log(2), 2) + pow(-300 + log(2), 2)) / 2 as Float
        try expectClose([RouterZLoss().value(decision)], [expected], tolerance: 1e-5, "loss")
    }

    @Test func noTokensCostNothing() {
        #expect(RouterZLoss().value(route([], Self.configuration([3]))) == 0)
    }

    @Test func withoutAWeightItIsNotReported() throws {
        try alone { communicator in
            let unused = try TinyBlock(Self.configuration(weight: 0), group: communicator)
            #expect(try unused.forward(unused.tokens(5, seed: 1))["z_loss"] == nil)
            let used = try TinyBlock(Self.configuration(), group: communicator)
            #expect(try used.forward(used.tokens(5, seed: 1))["z_loss"]! > 0)
        }
    }

    @Test(arguments: [1, 2, 3]) func gradientsAgreeWithDifferences(k: Int) throws {
        try RouterGradients.check(Self.configuration(k: k), "k \(k)")
        try BlockGradients.check(Self.configuration(k: k), dropout: 0.1, tolerance: 1e-2, "k \(k)")
    }

    @Test(arguments: BlockWorld.few) func manyRanksAreOne(world: BlockWorld) throws {
        try world.expectOneRank(Self.configuration(world.strata))
    }

    @Test func keys() throws {
        let unused = MixtureConfiguration(strata: [4])
        #expect(unused.additions == [] && !WrittenMixture.keys(unused).contains("router_z_loss"))
        let read = try WrittenMixture.read(#"{"strata": [4], "router_z_loss": 0.001}"#)
        #expect(read[RouterZLoss.self].weight == 0.001 && read.additions == ["z-loss"])
        #expect(try WrittenMixture.isReadAgain(read))
        #expect(
            WrittenMixture.problem(#"{"strata": [4], "router_z_loss": -1}"#).contains(
                "moe.router_z_loss must be a number of at least 0, but is -1"))
    }
}
