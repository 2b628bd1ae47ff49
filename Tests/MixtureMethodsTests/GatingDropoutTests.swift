import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// Token groups that pass a block without its gates and experts.
@Suite(.hangLimit) struct GatingDropoutTests {
    private static func configuration(
        _ strata: [Int] = [2, 3], probability: Float, order: StrataOrder = .stratified
    ) -> MixtureConfiguration {
        var configuration = testedMixture(strata)
        configuration[TestOrder.self] = TestOrder(order)
        configuration[GatingDropout.self].probability = probability
        return configuration
    }

    @Test(arguments: [StrataOrder.stratified, .stacked]) func groupsAreLeftOut(order: StrataOrder) throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration(probability: 0.3, order: order), group: communicator)
            let x = tiny.tokens(6, seed: 1)
            var leftOut = 0
            for group in 0..<400 {
                let outcome = try tiny.forward(x, key: RandomKey(seed: 9).derived(group))
                guard outcome.statistics.tokens == 0 else { continue }
                leftOut += 1
                try #require(outcome.elements == x.elements && outcome.visits.allSatisfy { $0 == 0 })
                try #require(outcome["test_balance"] == 0)
            }
            try #require(abs(Double(leftOut) / 400 - 0.3) < deviationBound(0.3, 400))
            // A group that is left out gives its gradient on, and none to the block.
            let key = try #require(
                try (0..<400).map { RandomKey(seed: 9).derived($0) }.first {
                    try tiny.forward(x, key: $0).statistics.tokens == 0
                })
            let dy = tiny.tokens(6, seed: 2), result = try tiny.train(x, doutput: dy, lossScale: 1, key: key)
            try #require(result.dx == dy.elements)
            try #require(try tiny.store.gradients().values.allSatisfy { $0.allSatisfy { $0 == 0 } })
        }
    }

    @Test func evaluationLeavesNoGroupOut() throws {
        try alone { communicator in
            let plain = try TinyBlock(Self.configuration(probability: 0), group: communicator)
            let tiny = try TinyBlock(Self.configuration(probability: 0.9), group: communicator), x = tiny.tokens(6, seed: 1)
            let expected = try plain.forward(x, training: false).elements
            for group in 0..<40 {
                let key = RandomKey(seed: 9).derived(group)
                #expect(try tiny.forward(x, training: false, key: key).elements == expected)
            }
        }
        try expectEvaluationKnowsNoCompany(Self.configuration(probability: 0.9))
    }

    /// A group that is not left out is that of a block without the option.
    @Test func whatIsNotLeftOutIsAsItWas() throws {
        try alone { communicator in
            let plain = try TinyBlock(Self.configuration(probability: 0), group: communicator, dropout: 0.2)
            let tiny = try TinyBlock(Self.configuration(probability: 0.02), group: communicator, dropout: 0.2)
            let x = tiny.tokens(20, seed: 1), dy = tiny.tokens(20, seed: 2)
            let expected = try plain.train(x, doutput: dy, lossScale: 1), result = try tiny.train(x, doutput: dy, lossScale: 1)
            try #require(result.output == expected.output && result.dx == expected.dx)
            try #require(try tiny.store.gradients() == plain.store.gradients())
        }
    }

    @Test func gradientsAgreeWithDifferences() throws {
        try BlockGradients.check(Self.configuration(probability: 0.02), dropout: 0.1, tolerance: 1e-2, "gating dropout")
    }

    /// Groups 0 and 3 are left out, group 2 is not: their ranks meet in the experts.
    @Test(arguments: BlockWorld.few, [StrataOrder.stratified, .stacked])
    func manyRanksAreOne(world: BlockWorld, order: StrataOrder) throws {
        let results = try world.expectOneRank(Self.configuration(world.strata, probability: 0.75, order: order))
        let entered = zip(results, BlockWorld.groupSizes).filter { $1 > 0 }.map { $0.0.statistics.tokens > 0 }
        #expect(entered.contains(true) && entered.contains(false), "groups that are left out beside one that is not")
    }

    @Test func keys() throws {
        let unused = MixtureConfiguration(strata: [4])
        #expect(unused.additions == [] && !WrittenMixture.keys(unused).contains("gating_dropout"))
        let read = try WrittenMixture.read(#"{"strata": [4], "gating_dropout": 0.25}"#)
        #expect(read[GatingDropout.self].probability == 0.25 && read.additions == ["gating dropout"])
        #expect(try WrittenMixture.isReadAgain(read) && read[GatingDropout.self].keptFloats(dim: 8, hidden: 32) == 0)
        #expect(
            WrittenMixture.problem(#"{"strata": [4], "gating_dropout": 1}"#).contains(
                "moe.gating_dropout must be a number from 0 up to, not including, 1, but is 1"))
    }
}
