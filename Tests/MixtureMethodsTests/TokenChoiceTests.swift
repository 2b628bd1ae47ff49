import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// Token choice, and how further experts are chosen after the first.
@Suite(.hangLimit) struct TokenChoiceTests {
    private static func configuration(
        _ policy: SecondExpertPolicy = .best, _ normalization: GateNormalization = .afterDrop, k: Int = 2,
        capacity: Float? = nil
    ) -> MixtureConfiguration {
        var configuration = testedMixture(capacity: capacity)
        configuration[TokenChoice.self].secondExpert = policy
        (configuration.topK, configuration.gateNormalization) = (k, normalization)
        return configuration
    }

    @Test func itIsTheDefault() {
        let configuration = MixtureConfiguration(strata: [4])
        #expect(configuration.routing == "token_choice" && configuration.rule is TokenChoice)
        #expect(configuration[TokenChoice.self].secondExpert == .sampling)
    }

    @Test func theBestAreTaken() {
        let tokens: [[Float]] = [[0.4, 0.3, 0.2, 0.1], [0.1, 0.35, 0.3, 0.25]]
        for (k, experts) in [
            (1, [[0], [1]]), (2, [[0, 1], [1, 2]]), (3, [[0, 1, 2], [1, 2, 3]]), (4, [[0, 1, 2, 3], [1, 2, 3, 0]]),
            (9, [[0, 1, 2, 3], [1, 2, 3, 0]]),
        ] as [(Int, [[Int32]])] {
            let decision = route(tokens, Self.configuration(k: k))
            #expect(decision.expertsByToken == experts && decision.leading == [0, 1], "k \(k)")
        }
    }

    @Test(arguments: SecondExpertPolicy.allCases) func aSingleExpertIsTakenOnce(policy: SecondExpertPolicy) {
        for k in 1...4 {
            let decision = route([[1], [1], [1]], Self.configuration(policy, k: k, capacity: 2))
            #expect(decision.experts == [0, 0, 0] && decision.weights == [1, 1, 1])
        }
    }

    @Test(arguments: SecondExpertPolicy.allCases) func noTokens(policy: SecondExpertPolicy) {
        for k in 1...4 {
            var configuration = Self.configuration(policy, k: k, capacity: 2)
            configuration.strata = [3]
            let decision = route([], configuration)
            #expect(decision.tokens == 0 && decision.experts.isEmpty && decision.offsets == [0])
        }
    }

    // MARK: further experts

    @Test func samplingDrawsFromTheOthersSoftmax() {
        let p: [Float] = [0.2, 0.4, 0.3, 0.1], tokens = 30_000
        let decision = route(Array(repeating: p, count: tokens), Self.configuration(.sampling), seed: 3)
        var counts = [Int](repeating: 0, count: 4)
        for experts in decision.expertsByToken {
            #expect(experts.count == 2 && experts[0] == 1)
            counts[Int(experts[1])] += 1
        }
        #expect(counts[1] == 0, "the first choice is never drawn again")
        for expert in [0, 2, 3] {
            let expected = Double(p[expert]) / 0.6
            #expect(
                abs(Double(counts[expert]) / Double(tokens) - expected) < deviationBound(expected, tokens), "expert \(expert)")
        }
    }

    /// Pairs (a, b) after the first choice come with p_a / Σ p · p_b / (Σ p − p_a), the sums over what is left.
    @Test(arguments: [3, 4]) func samplingDrawsWithoutReplacement(k: Int) {
        let p = [0.2, 0.35, 0.25, 0.15, 0.05], first = 1, rest = 0.65, tokens = 30_000
        let decision = route(
            Array(repeating: p.map { Float($0) }, count: tokens), Self.configuration(.sampling, k: k), seed: 4)
        var counts: [[Int32]: Int] = [:]
        for experts in decision.expertsByToken {
            #expect(experts.count == k && Set(experts).count == k && experts[0] == Int32(first))
            counts[Array(experts[1...2]), default: 0] += 1
        }
        for a in p.indices where a != first {
            for b in p.indices where b != first && b != a {
                let expected = p[a] / rest * p[b] / (rest - p[a])
                let share = Double(counts[[Int32(a), Int32(b)]] ?? 0) / Double(tokens)
                #expect(abs(share - expected) < deviationBound(expected, tokens), "\(a), then \(b)")
            }
        }
    }

    @Test func samplingAllLeavesNoneOut() throws {
        let p: [Float] = [0.2, 0.4, 0.3, 0.1]
        let decision = route(Array(repeating: p, count: 200), Self.configuration(.sampling, k: 4), seed: 3)
        #expect(decision.expertsByToken.allSatisfy { $0.sorted() == [0, 1, 2, 3] && $0[0] == 1 })
        #expect(Set(decision.expertsByToken).count == 6, "the others come in any order")
        try expectClose(decision.weights, decision.experts.map { p[Int($0)] }, tolerance: 1e-6, "weights")
    }

    @Test(arguments: [SecondExpertPolicy.sampling, .random], [2, 3, 4])
    func drawsDependOnKeyAndRowAlone(policy: SecondExpertPolicy, k: Int) {
        let token: [Float] = [0.36, 0.24, 0.16, 0.14, 0.1], configuration = Self.configuration(policy, k: k)
        let all = route((0..<40).map { _ in token }, configuration, seed: 5)
        #expect(all.experts == route((0..<40).map { _ in token }, configuration, seed: 5).experts)
        #expect(all.experts != route((0..<40).map { _ in token }, configuration, seed: 6).experts)
        // Some of the rows, in another company: each draws what it drew.
        let rows: [Int32] = [3, 4, 11, 29, 38]
        let some = route(rows.map { _ in token }, configuration, seed: 5, rows: rows)
        #expect(some.expertsByToken == rows.map { all.expertsByToken[Int($0)] })
    }

    /// A draw is an expert's: with more choices the ones that fewer had are still there.
    @Test func moreChoicesContainTheFewer() {
        let token: [Float] = [0.36, 0.24, 0.16, 0.14, 0.1]
        let sampled = (2...5).map { k in
            route((0..<40).map { _ in token }, Self.configuration(.sampling, k: k), seed: 5).expertsByToken
        }
        for (fewer, more) in zip(sampled, sampled.dropFirst()) {
            #expect(zip(fewer, more).allSatisfy { $0 == Array($1.dropLast()) })
        }
    }

    @Test(arguments: [0.1, 0.3, 0.45] as [Float]) func randomKeepsTheNextBestWithTwiceItsProbability(second: Float) {
        let tokens = 20_000
        let decision = route(
            Array(repeating: [0.5, 0.5 - second, second], count: tokens), Self.configuration(.random), seed: 7)
        let likelier: Int32 = second > 0.25 ? 2 : 1
        let expected = Double(min(1, 2 * max(second, 0.5 - second)))
        #expect(decision.expertsByToken.allSatisfy { $0 == [0] || $0 == [0, likelier] })
        let share = Double(decision.experts.count - tokens) / Double(tokens)
        #expect(abs(share - expected) <= deviationBound(expected, tokens))
    }

    /// Each of the next best is kept with probability min(1, k p), whatever becomes of the others.
    @Test(arguments: [3, 4]) func randomKeepsEachOfTheNextBest(k: Int) {
        let p = [0.4, 0.26, 0.18, 0.16], tokens = 30_000
        let decision = route(
            Array(repeating: p.map { Float($0) }, count: tokens), Self.configuration(.random, k: k), seed: 8)
        var counts: [[Int32]: Int] = [:]
        for experts in decision.expertsByToken {
            #expect(experts[0] == 0 && experts == experts.sorted())
            counts[Array(experts.dropFirst()), default: 0] += 1
        }
        let keep = p.map { min(1, Double(k) * $0) }
        for subset in 0..<(1 << (k - 1)) {
            let kept = (1..<k).filter { subset >> ($0 - 1) & 1 == 1 }
            let expected = (1..<k).reduce(1.0) { $0 * (kept.contains($1) ? keep[$1] : 1 - keep[$1]) }
            let share = Double(counts[kept.map { Int32($0) }] ?? 0) / Double(tokens)
            #expect(abs(share - expected) <= deviationBound(expected, tokens), "\(kept)")
        }
    }

    @Test func anEqualSecondIsAlwaysKept() {
        #expect(route(Array(repeating: [0.5, 0.5], count: 200), Self.configuration(.random)).experts.count == 400)
        let third: Float = 1.0 / 3
        #expect(
            route(Array(repeating: [third, third, third], count: 200), Self.configuration(.random, k: 4)).experts.count == 600)
    }

    @Test(arguments: GateNormalization.allCases) func whatWasNotDrawnIsNotDropped(normalization: GateNormalization) throws {
        let decision = route(Array(repeating: [0.9, 0.1], count: 100), Self.configuration(.random, normalization))
        let undrawn = (0..<100).filter { decision.choices(ofToken: $0).count == 1 }
        #expect(undrawn.count > 50)
        #expect(decision.kept.allSatisfy { $0 })
        for token in undrawn {
            // A first choice alone is all there is to normalise over.
            try expectClose(
                [decision.weights[Int(decision.offsets[token])]], [normalization == .never ? 0.9 : 1], tolerance: 1e-6,
                "weight of token \(token)")
        }
    }

    @Test func expectedChoicesAreThose() {
        var configuration = Self.configuration(.sampling, k: 3)
        configuration.strata = [6, 1, 1]
        for (stratum, expected) in [(0, 3.0), (1, 2), (2, 1)] {
            for isTraining in [false, true] {
                #expect(
                    TokenChoice().expectedChoices(configuration, atStratum: stratum, isTraining: isTraining) == expected)
            }
        }
    }

    // MARK: evaluation

    @Test(arguments: SecondExpertPolicy.allCases) func evaluationTakesTheBestAndDropsNothing(policy: SecondExpertPolicy) {
        let four: [[Float]] = [[0.6, 0.3, 0.1], [0.5, 0.2, 0.3], [0.7, 0.1, 0.2], [0.2, 0.5, 0.3]]
        var configuration = Self.configuration(policy, capacity: 1)
        let evaluated = route(four, configuration, isTraining: false)
        #expect(evaluated.experts == [0, 1, 0, 2, 0, 2, 1, 2] && !evaluated.kept.contains(false))
        configuration.evaluationCapacityFactor = 1
        let limited = route(four, configuration, isTraining: false)
        #expect(limited.experts == [0, 1, 0, 2, 0, 2, 1, 2] && limited.kept.count { !$0 } == 2)
    }

    @Test(arguments: SecondExpertPolicy.allCases, [1, 2, 4]) func evaluationKnowsNoCompany(policy: SecondExpertPolicy, k: Int)
        throws
    {
        try expectEvaluationKnowsNoCompany(Self.configuration(policy, k: k, capacity: 0.5))
    }

    // MARK: gradients and ranks

    @Test(arguments: [1, 2, 3, 4], SecondExpertPolicy.allCases)
    func gateGradientsAgreeWithDifferences(k: Int, policy: SecondExpertPolicy) throws {
        for normalization in GateNormalization.allCases {
            for capacity in [nil, 0.5] as [Float?] {
                try RouterGradients.check(
                    Self.configuration(policy, normalization, k: k, capacity: capacity),
                    "k \(k), \(policy), \(normalization), \(capacity ?? 0)")
            }
        }
    }

    @Test(arguments: [1, 2, 3, 4], SecondExpertPolicy.allCases)
    func gradientsAgreeWithDifferences(k: Int, policy: SecondExpertPolicy) throws {
        for normalization in GateNormalization.allCases {
            for (capacity, dropout) in [(nil, 0), (1, 0.2)] as [(Float?, Float)] {
                try BlockGradients.check(
                    Self.configuration(policy, normalization, k: k, capacity: capacity), dropout: dropout,
                    "k \(k), \(policy), \(normalization), \(capacity ?? 0)")
            }
        }
    }

    @Test(arguments: BlockWorld.all, [1, 2, 3, 4]) func manyRanksAreOne(world: BlockWorld, k: Int) throws {
        for policy in SecondExpertPolicy.allCases {
            for priority in CapacityPriority.allCases {
                var configuration = Self.configuration(policy, k: k, capacity: 1)
                (configuration.strata, configuration.capacityPriority) = (world.strata, priority)
                try world.expectOneRank(configuration)
            }
        }
    }

    // MARK: configuration

    @Test func keys() throws {
        for policy in SecondExpertPolicy.allCases {
            let read = try WrittenMixture.read(#"{"strata": [4], "second_expert": "\#(policy.rawValue)"}"#)
            #expect(read[TokenChoice.self].secondExpert == policy && read.additions == [])
            #expect(try WrittenMixture.isReadAgain(read))
        }
        #expect(
            WrittenMixture.problem(#"{"strata": [4], "second_expert": "worst"}"#).contains(
                "moe.second_expert must be best, sampling or random, but is worst"))
    }
}
