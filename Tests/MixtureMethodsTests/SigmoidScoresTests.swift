import Foundation
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// Sigmoid scores, by hand, by differences and on several ranks.
@Suite(.hangLimit) struct SigmoidScoresTests {
    private static func configuration(
        _ strata: [Int] = [2, 3], k: Int = 2, capacity: Float? = nil, _ normalization: GateNormalization = .afterDrop
    ) -> MixtureConfiguration {
        var configuration = WrittenMixture.mixture(strata, ["second_expert": #""best""#])
        configuration[TestBalance.self] = TestBalance()
        configuration[SigmoidScores.self].score = .sigmoid
        (configuration.topK, configuration.gateNormalization, configuration.capacityFactor) = (k, normalization, capacity)
        return configuration
    }

    /// Scores 3/4, 1/2, 1/4 and their logits, ± ln 3 and 0.
    private static func route(_ logits: [[Float]], _ configuration: MixtureConfiguration) -> RoutingDecision {
        var configuration = configuration
        configuration.strata = [logits[0].count]
        let context = ComputeContext(threads: 1)
        let router = StratifiedRouter(GateSite(name: "gate", configuration: configuration, stratum: 0, dim: 1))
        return router.route(
            context, logits: context.tensor(logits.flatMap { $0 }, rows: logits.count, columns: logits[0].count),
            rows: logits.indices.map { Int32($0) }, key: RandomKey(seed: 1), isTraining: true)
    }

    private static let ln3 = log(Float(3))

    @Test func weightsAreOverTheKept() throws {
        let two: [[Float]] = [[ln3, 0, -ln3], [ln3, -ln3, 0]]
        for (normalization, weights) in [
            // Expert 0 takes one choice: the second token keeps its second alone.
            (.afterDrop, [0.6, 0.4, 0, 1]), (.beforeDrop, [0.6, 0.4, 0, 0.4]), (.never, [0.75, 0.5, 0, 0.5]),
        ] as [(GateNormalization, [Float])] {
            let decision = Self.route(two, Self.configuration(capacity: 1, normalization))
            #expect(decision.experts == [0, 1, 0, 2])
            try expectClose(decision.gate.scores.elements, [0.75, 0.5, 0.25, 0.75, 0.25, 0.5], tolerance: 1e-6, "scores")
            try expectClose(decision.weights, weights, tolerance: 1e-6, "weights, \(normalization)")
        }
        try expectClose(Self.route(two, Self.configuration(k: 1)).weights, [0.75, 0.75], tolerance: 1e-6, "of top-1")
    }

    private var ln3: Float { Self.ln3 }

    /// f = (1, 0, 0) and p̄_0 = 0.75 / 1.5: 3 · 0.5.
    @Test func lossesTakeScoresOverTheirSum() throws {
        let decision = Self.route([[ln3, 0, -ln3], [ln3, -ln3, 0]], Self.configuration())
        try expectClose([TestBalance().value(decision)], [1.5], tolerance: 1e-6, "loss")
    }

    /// Neither a large logit nor one of −∞ is no number.
    @Test func extremeLogits() throws {
        let decision = Self.route([[200, -200, 0], [-200, -200, -200]], Self.configuration(k: 3))
        try expectClose(
            decision.gate.scores.elements.map { $0 }, [1, 0, 0.5, 0, 0, 0], tolerance: 1e-6, floor: 1, "scores")
        #expect(decision.weights.allSatisfy(\.isFinite) && decision.gate.shares.elements.allSatisfy(\.isFinite))
    }

    @Test(arguments: [1, 2, 3]) func gateGradientsAgreeWithDifferences(k: Int) throws {
        for normalization in GateNormalization.allCases {
            for capacity in [nil, 0.5] as [Float?] {
                try RouterGradients.check(
                    Self.configuration(k: k, capacity: capacity, normalization), "k \(k), \(normalization), \(capacity ?? 0)")
            }
        }
    }

    @Test(arguments: [1, 2, 3]) func gradientsAgreeWithDifferences(k: Int) throws {
        for normalization in GateNormalization.allCases {
            try BlockGradients.check(
                Self.configuration(k: k, capacity: 1, normalization), dropout: 0.1, tolerance: 1e-2, "k \(k), \(normalization)")
        }
    }

    @Test(arguments: BlockWorld.all) func manyRanksAreOne(world: BlockWorld) throws {
        try world.expectOneRank(Self.configuration(world.strata, k: 3, capacity: 1))
    }

    @Test func keys() throws {
        let read = try WrittenMixture.read(#"{"strata": [4], "score": "sigmoid"}"#)
        #expect(read[SigmoidScores.self].score == .sigmoid && read.additions == ["sigmoid scores"])
        #expect(try WrittenMixture.isReadAgain(read))
        let plain = try WrittenMixture.read(#"{"strata": [4], "score": "softmax"}"#)
        #expect(plain == MixtureConfiguration(strata: [4]) && !WrittenMixture.keys(plain).contains("score"))
        #expect(
            WrittenMixture.problem(#"{"strata": [4], "score": "sigmoi"}"#).contains(
                "moe.score must be softmax or sigmoid, but is sigmoi; did you mean sigmoid?"))
    }
}
