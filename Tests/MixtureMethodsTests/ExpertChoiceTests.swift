import MixtureMethods
import MixtureOfExperts
import Testing
import _TestSupport

/// Experts that choose tokens.
@Suite(.hangLimit) struct ExpertChoiceTests {
    private static func configuration(_ strata: [Int] = [2, 3], capacity: Float = 1, k: Int = 2) -> MixtureConfiguration {
        var configuration = testedMixture(strata, capacity: capacity)
        (configuration.routing, configuration.topK) = (ExpertChoice.routing, k)
        return configuration
    }

    /// Two tokens for each expert: capacity 1 × ceil(5 / 3).
    @Test func expertsChooseTokens() throws {
        let decision = route(
            [[0.6, 0.3, 0.1], [0.5, 0.1, 0.4], [0.7, 0.1, 0.2], [0.4, 0.35, 0.25], [0.6, 0.3, 0.1]], Self.configuration())
        // Expert 0 takes tokens 2 and 0 (before 4, which scores it as well), 1 takes 3 and 0, 2 takes 1 and 3. Nobody takes token 4.
        #expect(decision.expertsByToken == [[0, 1], [2], [0], [1, 2], []])
        #expect(decision.leading == [0, 0, 0, 0, 0] && !decision.kept.contains(false))
        try expectClose(decision.weights, [0.6, 0.3, 0.4, 0.7, 0.35, 0.25], tolerance: 1e-6, "bare probabilities")
    }

    @Test func aTokenThatNobodyChoseMovesOn() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([2, 2], capacity: 0.5), group: communicator)
            let x = tiny.tokens(40, seed: 1), outcome = try tiny.forward(x), decision = outcome.decisions[0]
            let passed = (0..<40).filter { outcome.visits[$0] == 1 && decision.choices(ofToken: $0).isEmpty }
            try #require(!passed.isEmpty)
            for token in passed {
                try #require(outcome.row(token) == x.rows(token..<token + 1).elements)
                try #require(decision.leading[token] >= 2)
            }
            // Every expert has its fill: floor(0.5 × ceil(40 / 4)).
            try #require(outcome.statistics.load[0] == [5, 5, 5, 5])
        }
    }

    @Test func moreThanThereAreCannotBeTaken() {
        let decision = route([[0.6, 0.4], [0.7, 0.3]], Self.configuration(capacity: 9))
        #expect(decision.expertsByToken == [[0, 1], [0, 1]])
    }

    /// In evaluation tokens choose, and none is passed over.
    @Test(arguments: [1, 2, 3]) func tokensChooseInEvaluation(k: Int) throws {
        let tokens: [[Float]] = [[0.6, 0.3, 0.1], [0.5, 0.1, 0.4], [0.7, 0.1, 0.2], [0.4, 0.35, 0.25], [0.6, 0.3, 0.1]]
        let decision = route(tokens, Self.configuration(k: k), isTraining: false)
        let order: [[Int32]] = [[0, 1, 2], [0, 2, 1], [0, 2, 1], [0, 1, 2], [0, 1, 2]]
        #expect(decision.expertsByToken == order.map { Array($0.prefix(k)) } && !decision.kept.contains(false))
        let bare = zip(tokens, order).flatMap { token, order in order.prefix(k).map { token[Int($0)] } }
        try expectClose(decision.weights, bare, tolerance: 1e-6, "bare probabilities")
        try expectEvaluationKnowsNoCompany(Self.configuration(k: k))
    }

    @Test func expectedChoicesAreTheCapacity() {
        let rule = ExpertChoice()
        func expected(_ factor: Float?, visible: Int, isTraining: Bool) -> Double {
            var configuration = Self.configuration(k: 2)
            (configuration.strata, configuration.capacityFactor) = ([visible], factor)
            return rule.expectedChoices(configuration, atStratum: 0, isTraining: isTraining)
        }
        #expect(expected(1.5, visible: 8, isTraining: true) == 1.5 && expected(9, visible: 8, isTraining: true) == 8)
        #expect(expected(nil, visible: 8, isTraining: true) == 8)
        #expect(expected(1.5, visible: 8, isTraining: false) == 2 && expected(1.5, visible: 1, isTraining: false) == 1)
        #expect(Self.configuration().trainingCapacityFactor == nil, "no choice is dropped")
    }

    @Test(arguments: [0.5, 1, 1.5] as [Float]) func gradientsAgreeWithDifferences(capacity: Float) throws {
        try BlockGradients.check(
            Self.configuration(capacity: capacity), dropout: 0.1, tolerance: 1e-2, "capacity \(capacity)")
    }

    @Test(arguments: BlockWorld.few) func manyRanksAreOne(world: BlockWorld) throws {
        try world.expectOneRank(Self.configuration(world.strata))
    }

    @Test func keys() throws {
        let read = try WrittenMixture.read(#"{"strata": [4, 4], "routing": "expert_choice"}"#)
        #expect(read.rule is ExpertChoice && read.additions == ["expert choice"])
        #expect(try WrittenMixture.isReadAgain(read))
        #expect(
            WrittenMixture.problem(#"{"strata": [4], "routing": "expert_choice", "capacity_factor": null}"#).contains(
                "moe.capacity_factor must be a number with moe.routing: expert_choice"))
        #expect(
            WrittenMixture.problem(
                #"{"strata": [4], "routing": "expert_choice", "capacity_priority": "own_probability"}"#
            ).contains("moe.capacity_priority must be token_order with moe.routing: expert_choice"))
        // Without it nothing is said of it.
        #expect(MixtureConfiguration(strata: [4]).additions == [])
        #expect(WrittenMixture.problem(#"{"strata": [4], "capacity_factor": null}"#) == "")
    }
}
