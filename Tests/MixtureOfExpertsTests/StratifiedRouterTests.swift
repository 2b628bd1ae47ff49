import Foundation
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// The routing rule, against cases computed by hand.
@Suite struct StratifiedRouterTests {
    private let context = ComputeContext(threads: 1)

    /// Routes tokens with the given probabilities; the gate sees experts 2, 3, ….
    private func route(
        _ router: StratifiedRouter, _ probabilities: [[Float]], seed: UInt64 = 1, rows: [Int32]? = nil
    ) -> RoutingDecision {
        let visible = probabilities.first?.count ?? 3
        let scores = context.tensor(
            probabilities.flatMap { $0.map { Float(log(Double($0))) } }, rows: probabilities.count, columns: visible)
        return router.route(
            scores: scores, visible: 2..<2 + visible, rows: rows ?? probabilities.indices.map { Int32($0) },
            key: RandomKey(seed: seed))
    }

    private func router(
        _ policy: SecondExpertPolicy = .best, _ normalization: GateNormalization = .afterDrop, k: Int = 2,
        capacity: Float? = nil
    ) -> StratifiedRouter {
        StratifiedRouter(topK: k, capacityFactor: capacity, secondExpert: policy, normalization: normalization)
    }

    /// With a capacity of ceil(4 / 3) = 2 the first choice of the third token is dropped, and the second of the last.
    private static let four: [[Float]] = [[0.6, 0.3, 0.1], [0.5, 0.2, 0.3], [0.7, 0.1, 0.2], [0.2, 0.5, 0.3]]

    @Test(arguments: GateNormalization.allCases) func topTwoWithoutDrops(normalization: GateNormalization) throws {
        let decision = route(router(.best, normalization), Self.four)
        #expect(decision.choices == 2 && decision.tokens == 4 && decision.visible == 2..<5)
        #expect(decision.experts == [2, 3, 2, 4, 2, 4, 3, 4])
        #expect(decision.kept.allSatisfy { $0 })
        #expect(decision.dropped == 0)
        let bare: [Float] = [0.6, 0.3, 0.5, 0.3, 0.7, 0.2, 0.5, 0.3]
        let normalized: [Float] = [2 / 3, 1 / 3, 0.625, 0.375, 7 / 9, 2 / 9, 0.625, 0.375]
        try expectClose(decision.weights, normalization == .never ? bare : normalized, tolerance: 1e-6, "weights")
        try expectClose(decision.probabilities.elements, Self.four.flatMap { $0 }, tolerance: 1e-6, "probabilities")
    }

    @Test func topTwoWithDrops() throws {
        let expected: [(GateNormalization, [Float])] = [
            (.afterDrop, [2 / 3, 1 / 3, 0.625, 0.375, 0, 1, 1, 0]),
            (.beforeDrop, [2 / 3, 1 / 3, 0.625, 0.375, 0, 2 / 9, 0.625, 0]),
            (.never, [0.6, 0.3, 0.5, 0.3, 0, 0.2, 0.5, 0]),
        ]
        for (normalization, weights) in expected {
            let decision = route(router(.best, normalization, capacity: 1), Self.four)
            #expect(decision.experts == [2, 3, 2, 4, 2, 4, 3, 4])
            #expect(decision.kept == [true, true, true, true, false, true, true, false])
            #expect(decision.dropped == 2)
            try expectClose(decision.weights, weights, tolerance: 1e-6, "weights, \(normalization)")
        }
    }

    @Test(arguments: GateNormalization.allCases) func bothChoicesDropped(normalization: GateNormalization) {
        // Capacity 0.5 · ceil(3 / 2) = 1: the later tokens lose both.
        let decision = route(router(.best, normalization, capacity: 0.5), [[0.7, 0.3], [0.6, 0.4], [0.8, 0.2]])
        #expect(decision.kept == [true, true, false, false, false, false])
        #expect(Array(decision.weights[2...]) == [0, 0, 0, 0])
        #expect(decision.firstChoice(2) == 2, "a dropped token still moves on by its first choice")
    }

    @Test(arguments: GateNormalization.allCases) func topOneHasTheBareProbability(normalization: GateNormalization) throws {
        let decision = route(router(.best, normalization, k: 1, capacity: 1), Self.four)
        #expect(decision.choices == 1)
        #expect(decision.experts == [2, 2, 2, 3])
        #expect(decision.kept == [true, true, false, true])
        try expectClose(decision.weights, [0.6, 0.5, 0, 0.5], tolerance: 1e-6, "weights")
    }

    @Test func firstChoicesQueueBeforeAnySecond() {
        // One place each: the first token's second choice would take the second token's expert if tokens queued one by one.
        let decision = route(router(capacity: 1), [[0.7, 0.3], [0.4, 0.6]])
        #expect(decision.experts == [2, 3, 3, 2])
        #expect(decision.kept == [true, false, true, false])
    }

    @Test func choicesQueueInTokenOrder() {
        let decision = route(router(k: 1, capacity: 1), [[0.6, 0.4], [0.9, 0.1], [0.7, 0.3], [0.8, 0.2]])
        #expect(decision.kept == [true, true, false, false])
    }

    @Test func noCapacityAtAll() {
        let decision = route(router(capacity: 0.5), [[0.6, 0.4]])
        #expect(decision.kept == [false, false])
        #expect(decision.weights == [0, 0])
        #expect(decision.dropped == 2)
    }

    @Test func oneVisibleExpertTakesOneChoice() {
        for policy in SecondExpertPolicy.allCases {
            let decision = route(router(policy, capacity: 2), [[1], [1], [1]])
            #expect(decision.choices == 1)
            #expect(decision.experts == [2, 2, 2])
            #expect(decision.weights == [1, 1, 1])
            #expect(decision.loadBalancingLoss == 1)
        }
    }

    @Test func noTokens() {
        for policy in SecondExpertPolicy.allCases {
            let decision = route(router(policy, capacity: 2), [])
            #expect(decision.tokens == 0 && decision.experts.isEmpty && decision.weights.isEmpty)
            #expect(decision.loadBalancingLoss == 0)
            #expect(decision.firstChoiceFractions == [0, 0, 0])
            let gradient = context.uninitialized(0, 3)
            router(policy).backward(decision, dweights: [], loadBalancingScale: 1, into: gradient)
        }
    }

    @Test func oneToken() throws {
        let decision = route(router(capacity: 1), [[0.1, 0.3, 0.6]])
        #expect(decision.experts == [4, 3])
        try expectClose(decision.weights, [2 / 3, 1 / 3], tolerance: 1e-6, "weights")
        try expectClose([decision.loadBalancingLoss], [3 * 0.6], tolerance: 1e-6, "load-balancing loss")
    }

    @Test func equalScoresGoToTheLowerExpert() {
        #expect(route(router(), [[0.25, 0.25, 0.25, 0.25]]).experts == [2, 3])
    }

    // MARK: the load-balancing loss

    @Test func loadBalancingLossIsComputedBeforeDropping() throws {
        // f = [3/4, 1/4, 0], p̄ = [0.5, 0.275, …]: 3 · (0.75 · 0.5 + 0.25 · 0.275).
        for capacity in [nil, 1, 0.5] as [Float?] {
            let decision = route(router(capacity: capacity), Self.four)
            #expect(decision.firstChoiceFractions == [0.75, 0.25, 0])
            try expectClose([decision.loadBalancingLoss], [1.33125], tolerance: 1e-6, "load-balancing loss")
        }
    }

    @Test func balancedLoadsCostOne() throws {
        let decision = route(router(), [[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]])
        try expectClose([decision.loadBalancingLoss], [1], tolerance: 1e-6, "load-balancing loss")
    }

    @Test func allOnOneExpertCostsTheirNumber() throws {
        let decision = route(router(), Array(repeating: [1 - 3e-7, 1e-7, 1e-7, 1e-7], count: 5))
        try expectClose([decision.loadBalancingLoss], [4], tolerance: 1e-5, "load-balancing loss")
    }

    // MARK: policies for the second expert

    /// Five standard deviations of a frequency over `draws`.
    private func bound(_ p: Double, _ draws: Int) -> Double { 5 * (p * (1 - p) / Double(draws)).squareRoot() }

    @Test func samplingDrawsFromTheOthersSoftmax() {
        let p: [Float] = [0.2, 0.4, 0.3, 0.1], tokens = 30_000
        let decision = route(router(.sampling), Array(repeating: p, count: tokens), seed: 3)
        var counts = [Int](repeating: 0, count: 4)
        for token in 0..<tokens {
            #expect(decision.experts[2 * token] == 3)
            counts[Int(decision.experts[2 * token + 1]) - 2] += 1
        }
        #expect(counts[1] == 0, "the first choice is never drawn again")
        for expert in [0, 2, 3] {
            let expected = Double(p[expert]) / 0.6
            #expect(abs(Double(counts[expert]) / Double(tokens) - expected) < bound(expected, tokens), "expert \(expert)")
        }
    }

    @Test(arguments: [SecondExpertPolicy.sampling, .random]) func drawsDependOnKeyAndRowAlone(policy: SecondExpertPolicy) {
        let probabilities = (0..<40).map { _ in [0.4, 0.3, 0.2, 0.1] as [Float] }
        let all = route(router(policy), probabilities, seed: 5)
        #expect(all.experts == route(router(policy), probabilities, seed: 5).experts)
        #expect(all.experts != route(router(policy), probabilities, seed: 6).experts)
        // Some of the rows, in another company: each draws what it drew.
        let rows: [Int32] = [3, 4, 11, 29, 38]
        let some = route(router(policy), rows.map { _ in probabilities[0] }, seed: 5, rows: rows)
        #expect(some.experts == rows.flatMap { all.experts[2 * Int($0)...2 * Int($0) + 1] })
    }

    @Test(arguments: [0.1, 0.3, 0.45] as [Float]) func randomKeepsTheNextBestWithTwiceItsProbability(second: Float) {
        let tokens = 20_000
        let decision = route(router(.random), Array(repeating: [0.5, 0.5 - second, second], count: tokens), seed: 7)
        let likelier: Int32 = second > 0.25 ? 4 : 3
        let expected = Double(min(1, 2 * max(second, 0.5 - second)))
        var drawn = 0
        for token in 0..<tokens {
            let choice = decision.experts[2 * token + 1]
            #expect(choice == likelier || choice == -1)
            if choice == likelier { drawn += 1 }
        }
        #expect(abs(Double(drawn) / Double(tokens) - expected) < bound(expected, tokens))
    }

    @Test func anEqualSecondIsAlwaysKept() {
        let decision = route(router(.random), Array(repeating: [0.5, 0.5], count: 200))
        #expect(decision.experts.allSatisfy { $0 >= 0 })
    }

    @Test(arguments: GateNormalization.allCases) func whatWasNotDrawnIsNotDropped(normalization: GateNormalization) throws {
        let decision = route(router(.random, normalization), Array(repeating: [0.9, 0.1], count: 100))
        let undrawn = (0..<100).filter { decision.experts[2 * $0 + 1] == -1 }
        #expect(undrawn.count > 50)
        #expect(decision.dropped == 0)
        for token in undrawn {
            #expect(!decision.kept[2 * token + 1])
            #expect(decision.weights[2 * token + 1] == 0)
            // A first choice alone is all there is to normalise over.
            try expectClose(
                [decision.weights[2 * token]], [normalization == .never ? 0.9 : 1], tolerance: 1e-6, "weight of token \(token)")
        }
    }

    @Test func evaluationTakesTheBestAndDropsNothing() {
        var configuration = MixtureConfiguration(strata: [3])
        configuration.capacityFactor = 1
        for policy in SecondExpertPolicy.allCases {
            configuration.secondExpert = policy
            let training = StratifiedRouter(configuration, isTraining: true)
            #expect(training.capacityFactor == 1 && training.secondExpert == policy)
            configuration.evaluationCapacityFactor = nil
            let evaluation = StratifiedRouter(configuration, isTraining: false)
            #expect(evaluation.capacityFactor == nil && evaluation.secondExpert == .best)
            #expect(route(evaluation, Self.four).experts == [2, 3, 2, 4, 2, 4, 3, 4])
            #expect(route(evaluation, Self.four).dropped == 0)
            configuration.evaluationCapacityFactor = 1
            #expect(route(StratifiedRouter(configuration, isTraining: false), Self.four).dropped == 2)
        }
    }

    // MARK: backward

    private struct Discrete: Equatable {
        let experts: [Int32]
        let kept: [Bool]
    }

    @Test(arguments: [1, 2], SecondExpertPolicy.allCases)
    func gradientsAgreeWithDifferences(k: Int, policy: SecondExpertPolicy) throws {
        let tokens = 14, visible = 5
        let dweights = normalValues(tokens * k, seed: 2)
        let rows = (0..<tokens).map { Int32($0 * 3) }
        for normalization in GateNormalization.allCases {
            for (capacity, balance) in [(nil, 0), (1, 0.7), (0.5, 2)] as [(Float?, Float)] {
                let router = router(policy, normalization, k: k, capacity: capacity)
                let logits = context.tensor(normalValues(tokens * visible, seed: 4, scale: 1.5), rows: tokens, columns: visible)
                func decide() -> RoutingDecision {
                    router.route(scores: context.copy(logits), visible: 3..<8, rows: rows, key: RandomKey(seed: 9))
                }
                let decision = decide()
                #expect((decision.dropped > 0) == (capacity != nil))
                let gradient = context.uninitialized(tokens, visible)
                router.backward(decision, dweights: dweights, loadBalancingScale: balance, into: gradient)
                let what = "k \(k), \(policy), \(normalization), \(capacity ?? 0)"
                try CentralDifferences().check(gradient.elements, at: logits.buffer, what) {
                    let decision = decide()
                    let weighted = zip(decision.weights, dweights).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
                    return (
                        weighted + Double(balance) * Double(decision.loadBalancingLoss),
                        Discrete(experts: decision.experts, kept: decision.kept)
                    )
                }
            }
        }
    }
}

extension RoutingDecision {
    /// Choices that exceeded a capacity.
    fileprivate var dropped: Int { zip(experts, kept).count { $0 >= 0 && !$1 } }
}
