import Autograd
import Foundation
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// What the frame makes of a rule's choices, against cases computed by hand.
@Suite struct StratifiedRouterTests {
    private let context = ComputeContext(threads: 1)

    /// A gate that sees experts 2, 3, …, `visible` of them.
    private static func gate(_ configuration: MixtureConfiguration, visible: Int) -> GateSite {
        var configuration = configuration
        configuration.strata = [2, visible]
        return GateSite(name: "gate", configuration: configuration, stratum: 1, dim: 1)
    }

    /// Routes tokens with the given probabilities by their best experts.
    private func route(
        _ probabilities: [[Float]], _ normalization: GateNormalization = .afterDrop, k: Int = 2, capacity: Float? = nil,
        training: Bool = true, _ change: (inout MixtureConfiguration) -> Void = { _ in }
    ) -> RoutingDecision {
        var configuration = MixtureConfiguration(strata: [1], methods: [BestChoice()])
        (configuration.topK, configuration.capacityFactor, configuration.gateNormalization) = (k, capacity, normalization)
        change(&configuration)
        let visible = probabilities.first?.count ?? 3
        let logits = context.tensor(
            probabilities.flatMap { $0.map { Float(log(Double($0))) } }, rows: probabilities.count, columns: visible)
        return StratifiedRouter(Self.gate(configuration, visible: visible)).route(
            context, logits: logits, rows: probabilities.indices.map { Int32($0) }, key: RandomKey(seed: 1),
            isTraining: training)
    }

    /// With a capacity of ceil(4 / 3) = 2 the first choice of the third token is dropped, and the second of the last.
    private static let four: [[Float]] = [[0.6, 0.3, 0.1], [0.5, 0.2, 0.3], [0.7, 0.1, 0.2], [0.2, 0.5, 0.3]]

    @Test(arguments: GateNormalization.allCases) func topTwoWithoutDrops(normalization: GateNormalization) throws {
        let decision = route(Self.four, normalization)
        #expect(decision.offsets == [0, 2, 4, 6, 8] && decision.tokens == 4 && decision.visible == 2..<5)
        #expect(decision.choiceTokens == [0, 0, 1, 1, 2, 2, 3, 3])
        #expect(decision.experts == [2, 3, 2, 4, 2, 4, 3, 4])
        #expect(decision.leading == [2, 2, 2, 3])
        #expect(decision.kept.allSatisfy { $0 })
        let bare: [Float] = [0.6, 0.3, 0.5, 0.3, 0.7, 0.2, 0.5, 0.3]
        let normalized: [Float] = [2 / 3, 1 / 3, 0.625, 0.375, 7 / 9, 2 / 9, 0.625, 0.375]
        try expectClose(decision.weights, normalization == .never ? bare : normalized, tolerance: 1e-6, "weights")
        try expectClose(decision.gate.scores.elements, Self.four.flatMap { $0 }, tolerance: 1e-6, "scores")
        try expectClose(bare.indices.map(decision.score(ofChoice:)), bare, tolerance: 1e-6, "scores of choices")
    }

    /// The shares of e^logit are the softmax: losses are the same, and their gradients too.
    @Test func lossesTakeSharesForProbabilities() throws {
        var gradients: [[Float]] = []
        for isOn in [false, true] {
            var configuration = MixtureConfiguration(strata: [1], methods: [BestChoice()])
            configuration[ExponentialScores.self].isOn = isOn
            configuration[TestBalance.self] = TestBalance()
            let router = StratifiedRouter(Self.gate(configuration, visible: 3))
            let logits = context.tensor(normalValues(12, seed: 4), rows: 4, columns: 3)
            let decision = router.route(context, logits: logits, rows: [0, 1, 2, 3], key: RandomKey(seed: 1), isTraining: true)
            let exponentials = logits.elements.map { exp($0) }
            try expectClose(
                decision.gate.shares.elements,
                exponentials.indices.map { index in
                    exponentials[index] / exponentials[index / 3 * 3..<index / 3 * 3 + 3].reduce(0, +)
                }, tolerance: 1e-6, "shares")
            if isOn { try expectClose(decision.gate.scores.elements, exponentials, tolerance: 1e-6, "scores") }
            let none = [Float](repeating: 0, count: decision.experts.count)
            gradients.append(router.backward(context, decision, dweights: none, lossScale: 0.7).logits.elements)
        }
        #expect(gradients[0].contains { abs($0) > 0.01 })
        try expectClose(gradients[1], gradients[0], tolerance: 1e-5, "gradient of the loss")
    }

    @Test func topTwoWithDrops() throws {
        let expected: [(GateNormalization, [Float])] = [
            (.afterDrop, [2 / 3, 1 / 3, 0.625, 0.375, 0, 1, 1, 0]),
            (.beforeDrop, [2 / 3, 1 / 3, 0.625, 0.375, 0, 2 / 9, 0.625, 0]),
            (.never, [0.6, 0.3, 0.5, 0.3, 0, 0.2, 0.5, 0]),
        ]
        for (normalization, weights) in expected {
            let decision = route(Self.four, normalization, capacity: 1)
            #expect(decision.experts == [2, 3, 2, 4, 2, 4, 3, 4])
            #expect(decision.kept == [true, true, true, true, false, true, true, false])
            try expectClose(decision.weights, weights, tolerance: 1e-6, "weights, \(normalization)")
        }
    }

    /// Room for ceil(4 / 3) = 2 each: the third first choice of expert 2 is dropped, and the third second one of expert 4; then all
    /// experts are full.
    @Test func topThreeWithDrops() throws {
        let decision = route(Self.four, k: 3, capacity: 1)
        #expect(decision.experts == [2, 3, 4, 2, 4, 3, 2, 4, 3, 3, 4, 2])
        #expect(
            decision.kept == [
                true, true, false, true, true, false, false, true, false, true, false, false,
            ])
        try expectClose(
            decision.weights, [2 / 3, 1 / 3, 0, 0.625, 0.375, 0, 0, 1, 0, 1, 0, 0], tolerance: 1e-6, "weights")
    }

    @Test(arguments: GateNormalization.allCases) func bothChoicesDropped(normalization: GateNormalization) {
        // Capacity 0.5 · ceil(3 / 2) = 1: the later tokens lose both.
        let decision = route([[0.7, 0.3], [0.6, 0.4], [0.8, 0.2]], normalization, capacity: 0.5)
        #expect(decision.kept == [true, true, false, false, false, false])
        #expect(Array(decision.weights[2...]) == [0, 0, 0, 0])
        #expect(decision.leading[2] == 2, "a dropped token still moves on by its first choice")
    }

    @Test(arguments: GateNormalization.allCases) func topOneHasTheBareProbability(normalization: GateNormalization) throws {
        let decision = route(Self.four, normalization, k: 1, capacity: 1)
        #expect(decision.offsets == [0, 1, 2, 3, 4])
        #expect(decision.experts == [2, 2, 2, 3])
        #expect(decision.kept == [true, true, false, true])
        try expectClose(decision.weights, [0.6, 0.5, 0, 0.5], tolerance: 1e-6, "weights")
    }

    @Test func noCapacityAtAll() {
        let decision = route([[0.6, 0.4]], capacity: 0.5)
        #expect(decision.kept == [false, false])
        #expect(decision.weights == [0, 0])
    }

    @Test func oneVisibleExpertTakesOneChoice() {
        for k in 1...4 {
            let decision = route([[1], [1], [1]], k: k, capacity: 2)
            #expect(decision.offsets == [0, 1, 2, 3])
            #expect(decision.experts == [2, 2, 2])
            #expect(decision.weights == [1, 1, 1])
        }
    }

    @Test func thereAreNoMoreChoicesThanVisibleExperts() {
        #expect(route([[0.2, 0.5, 0.3]], k: 7).experts == [3, 4, 2])
    }

    @Test func noTokens() {
        let router = StratifiedRouter(
            Self.gate(MixtureConfiguration(strata: [1], methods: [BestChoice(), TestBalance()]), visible: 3))
        let decision = router.route(
            context, logits: context.uninitialized(0, 3), rows: [], key: RandomKey(seed: 1), isTraining: true)
        #expect(decision.tokens == 0 && decision.experts.isEmpty && decision.weights.isEmpty && decision.offsets == [0])
        #expect(decision.leadingFractions == [0, 0, 0])
        #expect(router.losses(decision) == [BlockFigure("test_balance", 0)])
        #expect(router.backward(context, decision, dweights: [], lossScale: 1).logits.count == 0)
    }

    @Test func oneToken() throws {
        let decision = route([[0.1, 0.3, 0.6]], capacity: 1)
        #expect(decision.experts == [4, 3])
        try expectClose(decision.weights, [2 / 3, 1 / 3], tolerance: 1e-6, "weights")
    }

    @Test func equalScoresGoToTheLowerExpert() {
        #expect(route([[0.25, 0.25, 0.25, 0.25]]).experts == [2, 3])
        #expect(route([[0.25, 0.25, 0.25, 0.25]], k: 4).experts == [2, 3, 4, 5])
        #expect(route([[0.1, 0.35, 0.2, 0.35]], k: 3).experts == [3, 5, 4])
    }

    @Test func evaluationHasACapacityOfItsOwn() {
        #expect(route(Self.four, capacity: 1, training: false).kept.allSatisfy { $0 })
        let limited = route(Self.four, capacity: nil, training: false) { $0.evaluationCapacityFactor = 1 }
        #expect(limited.kept == [true, true, true, true, false, true, true, false])
        #expect(route(Self.four, capacity: nil) { $0.evaluationCapacityFactor = 1 }.kept.allSatisfy { $0 })
    }

    // MARK: a rule's choices

    /// One token without a choice, one of three, one of one, one of two; the first leads on by an expert that it did not choose.
    private static let ragged = ScriptedChoice([[], [2, 4, 3], [2], [4, 2]], leading: [3, 2, 4, 4])

    private func script(_ rule: ScriptedChoice, capacity: Float?, _ normalization: GateNormalization) -> RoutingDecision {
        route(Self.four, normalization, k: 3, capacity: capacity) {
            $0 = MixtureConfiguration(strata: [1], methods: [rule])
            ($0.topK, $0.capacityFactor, $0.gateNormalization) = (3, capacity, normalization)
        }
    }

    @Test(arguments: GateNormalization.allCases) func choicesMayBeRagged(normalization: GateNormalization) throws {
        let decision = script(Self.ragged, capacity: nil, normalization)
        #expect(decision.offsets == [0, 0, 3, 4, 6])
        #expect(decision.choices(ofToken: 0).isEmpty && decision.choices(ofToken: 3) == 4..<6)
        #expect(decision.choiceTokens == [1, 1, 1, 2, 3, 3])
        #expect(decision.leading == [3, 2, 4, 4])
        #expect(decision.leadingFractions == [0.25, 0.25, 0.5])
        let bare: [Float] = [0.5, 0.3, 0.2, 0.7, 0.3, 0.2]
        try expectClose(
            decision.weights, normalization == .never ? bare : [0.5, 0.3, 0.2, 1, 0.6, 0.4], tolerance: 1e-6, "weights")
    }

    @Test func raggedChoicesAreDropped() throws {
        // Room for 2 · 0.5 = 1 each: expert 2 is taken by the second token, expert 4 by the last, expert 3 by a third choice.
        let expected: [(GateNormalization, [Float])] = [
            (.afterDrop, [0.5 / 0.7, 0, 0.2 / 0.7, 0, 1, 0]), (.beforeDrop, [0.5, 0, 0.2, 0, 0.6, 0]),
            (.never, [0.5, 0, 0.2, 0, 0.3, 0]),
        ]
        for (normalization, weights) in expected {
            let decision = script(Self.ragged, capacity: 0.5, normalization)
            #expect(decision.kept == [true, false, true, false, true, false])
            try expectClose(decision.weights, weights, tolerance: 1e-6, "weights, \(normalization)")
        }
    }

    // MARK: selection and scores

    /// Changes what choices are ordered by.
    private struct Preference: SelectionAdjustment {
        let additions: [Float]

        func adjust(_ selection: Tensor, _ gate: GateSite) {
            for token in 0..<selection.rows {
                for expert in additions.indices { selection[token, expert] += additions[expert] }
            }
        }
    }

    private func prefer(_ additions: [[Float]], k: Int, _ probabilities: [[Float]]) -> RoutingDecision {
        var configuration = MixtureConfiguration(strata: [1], methods: [BestChoice()])
        (configuration.topK, configuration.capacityFactor) = (k, nil)
        let logits = context.tensor(
            probabilities.flatMap { $0.map { Float(log(Double($0))) } }, rows: probabilities.count,
            columns: probabilities[0].count)
        return StratifiedRouter(
            Self.gate(configuration, visible: probabilities[0].count), adjustments: additions.map(Preference.init)
        ).route(
            context, logits: logits, rows: probabilities.indices.map { Int32($0) }, key: RandomKey(seed: 1), isTraining: true)
    }

    @Test func adjustmentsSelectAndDoNotWeigh() throws {
        // Two adjustments, one after another: together −0.4, 0, 0.2.
        let decision = prefer([[-0.5, 0, 0], [0.1, 0, 0.2]], k: 2, [[0.5, 0.3, 0.2], [0.1, 0.7, 0.2]])
        // 0.1, 0.3, 0.4 and −0.3, 0.7, 0.4.
        #expect(decision.experts == [4, 3, 3, 4])
        try expectClose(decision.weights, [0.4, 0.6, 7.0 / 9, 2.0 / 9], tolerance: 1e-6, "weights")
        #expect(decision.leadingFractions == [0, 0.5, 0.5])
        try expectClose(decision.gate.scores.elements, [0.5, 0.3, 0.2, 0.1, 0.7, 0.2], tolerance: 1e-6, "scores")
    }

    @Test func expertsAtMinusInfinityAreNotChosen() throws {
        let probabilities: [[Float]] = [[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]]
        let decision = prefer([[-.infinity, 0, 0, -.infinity]], k: 3, probabilities)
        #expect(decision.offsets == [0, 2, 4], "fewer choices than k where fewer experts may be chosen")
        #expect(decision.experts == [3, 4, 4, 3] && decision.leading == [3, 4])
        try expectClose(decision.weights, [0.6, 0.4, 0.6, 0.4], tolerance: 1e-6, "weights")
        #expect(prefer([[-.infinity, -.infinity, 0, -.infinity]], k: 2, probabilities).experts == [4, 4])
    }

    @Test func scoresMayBeAnotherFunctionOfTheLogits() throws {
        let decision = route([[2, 6, 1], [5, 4, 3]], .never) { $0[ExponentialScores.self].isOn = true }
        #expect(decision.experts == [3, 2, 2, 3])
        try expectClose(decision.weights, [6, 2, 5, 4], tolerance: 1e-6, "weights")
        try expectClose(
            route([[2, 6, 1]], .afterDrop) { $0[ExponentialScores.self].isOn = true }.weights, [0.75, 0.25], tolerance: 1e-6,
            "normalised")
    }

    // MARK: backward

    @Test(arguments: [1, 2, 3, 5], GateNormalization.allCases)
    func gradientsAgreeWithDifferences(k: Int, normalization: GateNormalization) throws {
        for rule in [BestChoice(), RaggedChoice()] as [any MixtureMethod] {
            for (capacity, balance, size) in [(nil, 0, 0), (0.7, 0.7, 0), (0.4, 2, 0.5)] as [(Float?, Float, Float)] {
                var configuration = MixtureConfiguration(
                    strata: [1], methods: [rule, TestBalance(weight: balance), LogitSize(weight: size)])
                (configuration.topK, configuration.capacityFactor) = (k, capacity)
                configuration.gateNormalization = normalization
                try RouterGradients.check(configuration, "\(rule), k \(k), \(normalization), capacity \(capacity ?? 0)")
                configuration[ExponentialScores.self].isOn = true
                try RouterGradients.check(
                    configuration, "\(rule), k \(k), \(normalization), capacity \(capacity ?? 0), exponentials")
            }
        }
    }
}
