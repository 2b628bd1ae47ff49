import Autograd
import MixtureMethods
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import _TestSupport

/// Networks beside the experts.
@Suite(.hangLimit) struct SharedExpertsTests {
    private static func configuration(_ strata: [Int] = [2, 3], count: Int = 2) -> MixtureConfiguration {
        var configuration = testedMixture(strata)
        configuration[SharedExperts.self].count = count
        return configuration
    }

    @Test(arguments: [StrataOrder.stratified, .stacked], [0, 0.3] as [Float])
    func sharedExpertsAreTakenByAll(order: StrataOrder, dropout: Float) throws {
        try alone { communicator in
            func tiny(_ count: Int) throws -> TinyBlock {
                var configuration = Self.configuration(count: count)
                configuration[TestOrder.self] = TestOrder(order)
                return try TinyBlock(configuration, group: communicator, dropout: dropout)
            }
            let plain = try tiny(0), shared = try tiny(2), x = shared.tokens(20, seed: 1), pass = shared.trainingPass
            var expected = try plain.forward(x).output
            let h = shared.block.entryNorm(Variable(x), pass)
            for index in 0..<2 {
                // Draws of its own for each, after those of the strata.
                let mask = pass.within(2 + index).dropout(dropout, purpose: RandomPurpose(number: 7))
                expected = try shared.twin(of: "block.shared_experts.\(index)")(h, addedTo: expected, pass, mask: mask)
            }
            try #require(try shared.forward(x).elements == expected.value.elements)
        }
    }

    /// They neither change the routing nor report anything of their own.
    @Test func theRoutingIsThatOfTheBlockWithout() throws {
        try alone { communicator in
            let plain = try TinyBlock(Self.configuration(count: 0), group: communicator)
            let shared = try TinyBlock(Self.configuration(), group: communicator)
            let x = plain.tokens(20, seed: 1), expected = try plain.forward(x), outcome = try shared.forward(x)
            try #require(outcome.decisions.map(\.experts) == expected.decisions.map(\.experts))
            try #require(outcome.report.figures == expected.report.figures && outcome.statistics == expected.statistics)
        }
    }

    @Test(arguments: [1, 2]) func noTokensAnywhere(ranks: Int) throws {
        _ = try BlockWorld(ranks: ranks, strata: [2, 3]).expectOneRank(Self.configuration(count: 1))
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration(), group: communicator), nothing = tiny.tokens(0, seed: 1)
            #expect(try tiny.train(nothing, doutput: nothing, lossScale: 1).output.isEmpty)
            #expect(try tiny.store.gradients().values.allSatisfy { $0.allSatisfy { $0 == 0 } })
        }
    }

    @Test func keptFloatsAreThoseOfEach() {
        #expect(SharedExperts().keptFloats(dim: 8, hidden: 32) == 0)
        #expect(Self.configuration()[SharedExperts.self].keptFloats(dim: 8, hidden: 32) == 80)
    }

    @Test func evaluationKnowsNoCompany() throws { try expectEvaluationKnowsNoCompany(Self.configuration()) }

    @Test(arguments: [1, 2]) func gradientsAgreeWithDifferences(count: Int) throws {
        try BlockGradients.check(Self.configuration(count: count), dropout: 0.1, tolerance: 1e-2, "\(count) shared")
    }

    @Test(arguments: BlockWorld.few) func manyRanksAreOne(world: BlockWorld) throws {
        try world.expectOneRank(Self.configuration(world.strata))
    }

    @Test func keys() throws {
        let unused = MixtureConfiguration(strata: [4])
        #expect(unused.additions == [] && !WrittenMixture.keys(unused).contains("shared_experts"))
        let read = try WrittenMixture.read(#"{"strata": [4], "shared_experts": 2}"#)
        #expect(read[SharedExperts.self].count == 2 && read.additions == ["shared experts (2)"])
        #expect(try WrittenMixture.isReadAgain(read))
        #expect(
            WrittenMixture.problem(#"{"strata": [4], "shared_experts": -1}"#).contains(
                "moe.shared_experts must be an integer from 0 to 64, but is -1"))
    }
}
