import MixtureMethods
import MixtureOfExperts
import Testing
import _TestSupport

/// Loads that are even whatever the scores.
@Suite(.hangLimit) struct ForcedBalancedTests {
    private static func configuration(_ strata: [Int] = [2, 3], k: Int = 2, capacity: Float? = 1) -> MixtureConfiguration {
        var configuration = testedMixture(strata, capacity: capacity)
        (configuration.routing, configuration.topK) = (ForcedBalanced.routing, k)
        return configuration
    }

    @Test(arguments: [1, 2, 3]) func forcedLoadsAreEven(k: Int) throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([2, 2], k: k, capacity: nil), group: communicator)
            let outcome = try tiny.forward(tiny.tokens(16, seed: 1))
            // Half of the 16 tokens go on to the second stratum, which has two experts.
            let (first, second) = (4 * k, 4 * min(k, 2))
            try #require(outcome.statistics.load == [[first, first, first, first], [0, 0, second, second]])
            try #require(outcome.decisions[0].leadingFractions == [0.25, 0.25, 0.25, 0.25])
        }
    }

    @Test func expertsAreCountedRound() {
        let tokens = Array(repeating: [0.7, 0.2, 0.1] as [Float], count: 4)
        #expect(route(tokens, Self.configuration(k: 2, capacity: nil)).expertsByToken == [[0, 1], [1, 2], [2, 0], [0, 1]])
        #expect(route(tokens, Self.configuration(k: 5, capacity: nil)).expertsByToken[1] == [1, 2, 0])
        #expect(route(tokens, Self.configuration(k: 1, capacity: nil)).leading == [0, 1, 2, 0])
    }

    @Test func weightsAreThoseOfTheScores() throws {
        let decision = route([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]], Self.configuration(capacity: nil))
        try expectClose(decision.weights, [7.0 / 9, 2.0 / 9, 0.6, 0.4], tolerance: 1e-6, "weights")
    }

    @Test(arguments: [1, 2, 3]) func gradientsAgreeWithDifferences(k: Int) throws {
        try BlockGradients.check(Self.configuration(k: k), dropout: 0.1, tolerance: 1e-2, "k \(k)")
    }

    @Test(arguments: BlockWorld.few) func manyRanksAreOne(world: BlockWorld) throws {
        try world.expectOneRank(Self.configuration(world.strata))
    }

    @Test func keys() throws {
        let read = try WrittenMixture.read(#"{"strata": [4, 4], "routing": "forced_balanced"}"#)
        #expect(read.rule is ForcedBalanced && read.additions == ["forced balance"])
        #expect(try WrittenMixture.isReadAgain(read))
        let narrow = try WrittenMixture.read(#"{"strata": [7, 1], "routing": "forced_balanced"}"#)
        #expect(
            ForcedBalanced().expectedChoices(narrow, atStratum: 0, isTraining: true) == 2
                && ForcedBalanced().expectedChoices(narrow, atStratum: 1, isTraining: true) == 1)
    }
}
