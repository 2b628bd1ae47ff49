import Foundation
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// Threshold choice, by hand, against a naive twin, by differences and on several ranks.
@Suite(.hangLimit) struct ThresholdChoiceTests {
    static func configuration(
        _ strata: [Int] = [2, 3], _ thresholds: [Float] = [0.65], capacity: Float? = nil,
        _ priority: CapacityPriority = .tokenOrder
    ) -> MixtureConfiguration {
        var configuration = testedMixture(strata, capacity: capacity)
        (configuration.routing, configuration.capacityPriority) = (ThresholdChoice.routing, priority)
        configuration[ThresholdChoice.self].thresholds = thresholds
        return configuration
    }

    /// Rows are tokens.
    private static let q: [[Float]] = [
        [0.50, 0.30, 0.15, 0.05], [0.22, 0.25, 0.29, 0.24], [0.05, 0.10, 0.05, 0.80], [0.60, 0.26, 0.08, 0.06],
    ]

    @Test func asManyAreTakenAsAddUpToTheThreshold() throws {
        let decision = route(Self.q, Self.configuration())
        #expect(decision.expertsByToken == [[0, 1], [2, 1, 3], [3], [0, 1]] && decision.leading == [0, 2, 3, 0])
        try expectClose(
            decision.weights, [0.5, 0.3, 0.29, 0.25, 0.24, 0.8, 0.6, 0.26], tolerance: 1e-6, "bare scores")
        try expectClose([TestBalance().value(decision)], [1.115], tolerance: 1e-6, "loss")
        for (threshold, lengths) in [
            (0, [1, 1, 1, 1]), (0.4, [1, 2, 1, 1]), (0.88, [3, 4, 2, 3]), (1, [4, 4, 4, 4]),
        ] as [(Float, [Int])] {
            let decision = route(Self.q, Self.configuration([4], [threshold]))
            #expect(decision.expertsByToken.map(\.count) == lengths, "t \(threshold)")
        }
    }

    /// Choices in the order of the tokens, of 0 and 1; 2, 1 and 3; 3; 0 and 1.
    @Test func aFullExpertKeepsByPriority() throws {
        for (capacity, priority, kept) in [
            (1, .ownProbability, [0, 1, 1, 0, 0, 1, 1, 0]), (1, .tokenOrder, [1, 1, 1, 0, 0, 1, 0, 0]),
            (1, .firstChoiceProbability, [0, 0, 1, 0, 0, 1, 1, 1]), (2, .ownProbability, [1, 1, 1, 0, 1, 1, 1, 1]),
            (2, .tokenOrder, [1, 1, 1, 1, 1, 1, 1, 0]),
        ] as [(Float, CapacityPriority, [Int])] {
            let decision = route(Self.q, Self.configuration(capacity: capacity, priority))
            #expect(decision.kept == kept.map { $0 == 1 }, "capacity \(capacity), \(priority)")
            let bare: [Float] = [0.5, 0.3, 0.29, 0.25, 0.24, 0.8, 0.6, 0.26]
            try expectClose(
                decision.weights, zip(bare, kept).map { $0 * Float($1) }, tolerance: 1e-6, "never renormalised")
        }
    }

    /// The twin: sorts all, then cuts.
    @Test func choicesAreThoseOfTheTwin() {
        let tokens = 200, count = 9, values = normalValues(tokens * count, seed: 6, scale: 2)
        let p = (0..<tokens).map { token -> [Float] in
            let exponentials = (0..<count).map { exp(values[token * count + $0]) }
            return exponentials.map { $0 / exponentials.reduce(0, +) }
        }
        var longer: [[Int32]]?
        for threshold in [1, 0.93, 0.71, 0.37, 0.11, 0] as [Float] {
            let decision = route(p, Self.configuration([count], [threshold])), scores = decision.gate.scores
            for token in 0..<tokens {
                let order = (0..<count).sorted { (scores[token, $0], $1) > (scores[token, $1], $0) }
                var sum: Float = 0
                let wanted = order.prefix { expert in
                    defer { sum += scores[token, expert] }
                    return expert == order[0] || sum < threshold || threshold >= 1
                }
                #expect(decision.expertsByToken[token] == wanted.map { Int32($0) })
            }
            // Lists of smaller thresholds are within those of larger ones.
            if let longer { #expect(zip(longer, decision.expertsByToken).allSatisfy { Array($0.prefix($1.count)) == $1 }) }
            longer = decision.expertsByToken
        }
    }

    @Test func equalScoresGoToTheLowerExpert() {
        let decision = route(Array(repeating: [0.25, 0.25, 0.25, 0.25], count: 3), Self.configuration([4], [0.6]))
        #expect(decision.expertsByToken == [[0, 1, 2], [0, 1, 2], [0, 1, 2]])
    }

    /// A threshold of 0 is the best expert alone, with its bare score: top-1.
    @Test func noThresholdIsTopOneToTheBit() throws {
        for capacity in [nil, 1] as [Float?] {
            var one = Self.configuration(capacity: capacity)
            one[BestChoice.self] = BestChoice()
            (one.routing, one.topK) = (BestChoice.routing, 1)
            let configurations = [one, Self.configuration([2, 3], [0], capacity: capacity)]
            let outputs = try configurations.map { configuration in
                try alone { communicator in
                    let tiny = try TinyBlock(configuration, group: communicator, dropout: 0.1), x = tiny.tokens(30, seed: 2)
                    return try tiny.train(x, doutput: tiny.tokens(30, seed: 3), lossScale: 1)
                }
            }
            #expect(outputs[0].output == outputs[1].output && outputs[0].dx == outputs[1].dx)
        }
    }

    @Test func aThresholdForEachStratum() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([2, 3], [0, 1]), group: communicator)
            let outcome = try tiny.forward(tiny.tokens(30, seed: 1)), decisions = outcome.decisions
            #expect(decisions[0].experts.count == 30)
            #expect(decisions[1].tokens > 0 && decisions[1].experts.count == 3 * decisions[1].tokens)
            let mean = Float(outcome.statistics.choices) / Float(outcome.statistics.strataPassed)
            try expectClose([try #require(outcome["choices_mean"])], [mean], tolerance: 1e-6, "choices_mean")
        }
    }

    @Test func noTokens() {
        let decision = route([], Self.configuration([3]))
        #expect(decision.tokens == 0 && decision.experts.isEmpty)
        #expect(ThresholdChoice().figures(decision) == [BlockFigure("choices_mean", 0, weight: 0)])
    }

    /// Flat scores, as they are at first, need ⌈t V⌉ choices, of which capacity takes its factor.
    @Test func expectedChoices() {
        let rule = ThresholdChoice()
        func expected(_ configuration: MixtureConfiguration, _ stratum: Int = 0, isTraining: Bool = true) -> Double {
            configuration.rule.expectedChoices(configuration, atStratum: stratum, isTraining: isTraining)
        }
        #expect(rule.thresholds == [0.9] && expected(Self.configuration([64], [0.9])) == 58)
        #expect(expected(Self.configuration([5], [0.6])) == 3 && expected(Self.configuration([5], [0])) == 1)
        #expect(expected(Self.configuration([64], [0.9], capacity: 8)) == 8)
        #expect(expected(Self.configuration([64], [0.9], capacity: 8), isTraining: false) == 58)
        #expect(expected(Self.configuration([4, 4], [0.5, 1]), 1) == 4)
    }

    // MARK: evaluation, gradients and ranks

    @Test func evaluationKnowsNoCompany() throws { try expectEvaluationKnowsNoCompany(Self.configuration(capacity: 0.5)) }

    @Test(arguments: [0, 0.4, 0.8, 1] as [Float]) func gateGradientsAgreeWithDifferences(threshold: Float) throws {
        for (capacity, priority) in [(nil, .tokenOrder), (0.5, .tokenOrder), (0.5, .ownProbability)]
            as [(Float?, CapacityPriority)]
        {
            try RouterGradients.check(
                Self.configuration([5], [threshold], capacity: capacity, priority),
                "t \(threshold), \(capacity ?? 0), \(priority)")
        }
    }

    @Test(arguments: [0.4, 0.8] as [Float]) func gradientsAgreeWithDifferences(threshold: Float) throws {
        for capacity in [nil, 1] as [Float?] {
            try BlockGradients.check(
                Self.configuration([2, 3], [threshold], capacity: capacity), dropout: 0.1, tolerance: 1e-2,
                "t \(threshold), \(capacity ?? 0)")
        }
    }

    @Test(arguments: BlockWorld.all) func manyRanksAreOne(world: BlockWorld) throws {
        for capacity in [nil, 1] as [Float?] {
            try world.expectOneRank(Self.configuration(world.strata, [0.6], capacity: capacity, .ownProbability))
        }
    }

    // MARK: configuration

    @Test func keys() throws {
        let read = try WrittenMixture.read(#"{"strata": [4, 4], "routing": "top_p", "top_p": [0.5, 0.25]}"#)
        #expect(read[ThresholdChoice.self].thresholds == [0.5, 0.25] && read.additions == ["top-p 0.5-0.25"])
        #expect(try WrittenMixture.isReadAgain(read))
        let plain = try WrittenMixture.read(#"{"strata": [4, 4], "routing": "top_p"}"#)
        #expect(plain[ThresholdChoice.self].thresholds == [0.9] && !WrittenMixture.keys(plain).contains("top_k"))
        #expect(try WrittenMixture.isReadAgain(plain))
        for (keys, problem) in [
            (#""top_p": 0.5"#, "moe.top_p must be left out with moe.routing: token_choice"),
            (#""routing": "top_p", "top_p": 1.5"#, "moe.top_p must be a number from 0 to 1"),
            (#""routing": "top_p", "top_p": [0.1, 0.2, 0.3]"#, "moe.top_p must be one number, or one for each of the 2 strata"),
            (#""routing": "top_p", "top_k": 1"#, "moe.top_k must be left out with moe.routing: top_p"),
            (#""routing": "top_p", "score": "sigmoid""#, "moe.score must be softmax with moe.routing: top_p"),
        ] where !keys.contains("score") || WrittenMixture.form.keys("").contains("score") {
            let found = WrittenMixture.problem("{\"strata\": [4, 4], \(keys)}")
            #expect(found.contains(problem), "\(found)")
        }
    }
}
