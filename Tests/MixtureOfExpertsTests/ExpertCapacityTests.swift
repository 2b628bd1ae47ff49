import Foundation
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

@Suite struct ExpertCapacityTests {
    @Test(
        arguments: [
            // factor × ceil(tokens / visible), rounded down.
            (tokens: 8, visible: 4, factor: 2, limit: 4), (9, 4, 2, 6), (10, 4, 1.25, 3), (10, 4, 1.5, 4), (1, 8, 2, 2),
            (1, 8, 0.5, 0), (0, 8, 2, 0), (17, 1, 1, 17), (3, 3, 1.9, 1), (1000, 10, 1.1, 110), (16, 16, 1, 1),
            (1, 1, 3e38, .max),
        ] as [(tokens: Int, visible: Int, factor: Float, limit: Int)])
    func limit(_ example: (tokens: Int, visible: Int, factor: Float, limit: Int)) {
        #expect(
            ExpertCapacity.limit(tokens: example.tokens, visible: example.visible, factor: example.factor) == example.limit)
    }

    @Test func noFactorNoLimit() { #expect(ExpertCapacity.limit(tokens: 100, visible: 4, factor: nil) == nil) }

    /// What is kept of the choices of tokens with the given probabilities, by token.
    private func kept(
        _ probabilities: [[Float]], _ rule: any MixtureMethod = BestChoice(), k: Int = 2, factor: Float,
        _ priority: CapacityPriority = .tokenOrder
    ) -> [[Bool]] {
        var configuration = MixtureConfiguration(strata: [probabilities[0].count], methods: [rule])
        (configuration.topK, configuration.capacityFactor, configuration.capacityPriority) = (k, factor, priority)
        let context = ComputeContext()
        let logits = context.tensor(
            probabilities.flatMap { $0.map(log) }, rows: probabilities.count, columns: probabilities[0].count)
        let decision = StratifiedRouter(GateSite(name: "gate", configuration: configuration, stratum: 0, dim: 1)).route(
            context, logits: logits, rows: probabilities.indices.map { Int32($0) }, key: RandomKey(seed: 1), isTraining: true)
        return (0..<decision.tokens).map { Array(decision.kept[decision.choices(ofToken: $0)]) }
    }

    @Test func firstChoicesQueueBeforeAnySecond() {
        // One place each: the first token's second choice would take the second token's expert if tokens queued one by one.
        #expect(kept([[0.7, 0.3], [0.4, 0.6]], factor: 1) == [[true, false], [true, false]])
    }

    @Test func secondChoicesQueueBeforeAnyThird() {
        // Room for two each. First choices: 0, 1, 2. Second ones: 1, 0, 1: the last finds expert 1 full. Third ones: 2, 2, 0: one
        // place of expert 2 is left, and none of expert 0.
        let tokens: [[Float]] = [[0.5, 0.3, 0.2], [0.3, 0.5, 0.2], [0.2, 0.3, 0.5]]
        #expect(
            kept(tokens, k: 3, factor: 2) == [[true, true, true], [true, true, false], [true, false, false]])
    }

    @Test func choicesQueueInTokenOrder() {
        #expect(
            kept([[0.6, 0.4], [0.9, 0.1], [0.7, 0.3], [0.8, 0.2]], k: 1, factor: 1) == [[true], [true], [false], [false]])
    }

    /// One expert, room for two: the tokens of highest probability instead of the first ones; of equal ones the earlier.
    @Test func tokensMayQueueByTheirFirstChoice() {
        let tokens: [[Float]] = [[0.6, 0.4], [0.9, 0.1], [0.7, 0.3], [0.7, 0.3]]
        for priority in [CapacityPriority.firstChoiceProbability, .ownProbability] {
            #expect(kept(tokens, k: 1, factor: 1, priority) == [[false], [true], [true], [false]])
        }
        #expect(kept(tokens, k: 1, factor: 1) == [[true], [true], [false], [false]])
    }

    /// Second choices queue after all first ones: in the order of the tokens' first choices, or by their own scores.
    @Test func secondChoicesQueueByTheirTokenOrByTheirOwnScore() {
        let tokens: [[Float]] = [[0.6, 0.4], [0.9, 0.1], [0.7, 0.3], [0.7, 0.3]]
        #expect(kept(tokens, factor: 1) == [[true, true], [true, true], [false, false], [false, false]])
        #expect(
            kept(tokens, factor: 1, .firstChoiceProbability) == [
                [false, false], [true, true], [true, true], [false, false],
            ])
        #expect(kept(tokens, factor: 1, .ownProbability) == [[false, true], [true, false], [true, true], [false, false]])
    }

    @Test(arguments: CapacityPriority.allCases) func raggedChoicesQueueByRank(priority: CapacityPriority) {
        // One place each. First choices: token 1 and token 2 want expert 0; token 3 wants 1. Token 1's second is 1, its third 2.
        let rule = ScriptedChoice([[], [0, 1, 2], [0], [1]], leading: [0, 0, 0, 1])
        let tokens: [[Float]] = [[0.8, 0.1, 0.1], [0.5, 0.4, 0.1], [0.7, 0.1, 0.2], [0.3, 0.4, 0.3]]
        let byScore = priority != .tokenOrder
        #expect(kept(tokens, rule, k: 3, factor: 0.5, priority) == [[], [!byScore, false, true], [byScore], [true]])
    }

    /// A rule whose choices do not queue.
    private struct Taking: RoutingRule {
        static let routing = "taking"
        var choicesQueue: Bool { false }

        func choose(_ gate: GateScores) -> RoutingChoices { gate.bestChoices(1) }
    }

    @Test func choicesThatDoNotQueueAreAllKept() {
        #expect(kept([[0.6, 0.4], [0.7, 0.3]], Taking(), factor: 0.5) == [[true], [true]])
    }
}
