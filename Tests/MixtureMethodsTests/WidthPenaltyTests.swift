import Foundation
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// The width penalty, by hand and by differences.
@Suite(.hangLimit) struct WidthPenaltyTests {
    typealias Settings = WidthPenalty.Settings

    private static func configuration(
        _ strata: [Int] = [4], _ widths: [Int] = [64, 128, 192, 256], _ counts: Settings.Counts = .all,
        _ width: Settings.Width = .own, weight: Float = 1
    ) -> MixtureConfiguration {
        var configuration = WrittenMixture.mixture(strata, ["second_expert": #""best""#, "aux_loss_weight": "0"])
        var settings = Settings()
        (settings.counts, settings.width, settings.weight) = (counts, width, weight)
        configuration[WidthPenalty.self].settings = settings
        let byExpert = widths.count == configuration.experts
        configuration[UnequalExperts.self].widths = configuration.stratumOfExpert.enumerated().map { expert, stratum in
            widths[byExpert ? expert : widths.count == 1 ? 0 : stratum]
        }
        configuration.capacityFactor = 1
        return configuration
    }

    private static let q: [[Float]] = [
        [0.50, 0.30, 0.15, 0.05], [0.22, 0.25, 0.29, 0.24], [0.05, 0.10, 0.05, 0.80], [0.60, 0.26, 0.08, 0.06],
    ]

    private static func penalty(_ decision: RoutingDecision) -> WidthPenalty {
        decision.gate.configuration[WidthPenalty.self]
    }

    @Test func itIsComputedBeforeDropping() throws {
        for (counts, value) in [(.first, 0.905), (.all, 1.633)] as [(Settings.Counts, Float)] {
            let decision = route(Self.q, Self.configuration([4], [64, 128, 192, 256], counts))
            #expect(decision.kept.contains(false))
            try expectClose([Self.penalty(decision).value(decision)], [value], tolerance: 1e-6, "\(counts)")
        }
    }

    /// ∂L/∂p is the same for every token, V M_e / T.
    @Test func theGradientIsThatOfTheShares() throws {
        let decision = route(Self.q, Self.configuration()), context = ComputeContext(threads: 1)
        let gradient = context.zeros(4, 4)
        Self.penalty(decision).addShareGradient(decision, scale: 1, to: gradient)
        for token in 0..<4 {
            try expectClose(gradient.rows(token..<token + 1).elements, [0.2, 0.8, 0.3, 0.4], tolerance: 1e-6, "∂L/∂p")
        }
    }

    @Test(arguments: [Settings.Counts.all, .first]) func theGradientOfTheLogits(counts: Settings.Counts) throws {
        let configuration = Self.configuration([4], [64, 128, 192, 256], counts)
        let router = StratifiedRouter(GateSite(name: "gate", configuration: configuration, stratum: 0, dim: 1))
        let decision = route(Self.q, configuration), none = [Float](repeating: 0, count: decision.experts.count)
        let gradient = router.backward(ComputeContext(threads: 1), decision, dweights: none, lossScale: 1).logits
        let first: [Float] = counts == .all ? [-0.1025, 0.1185, -0.01575, -0.00025] : [0.0175, -0.0495, 0.02025, 0.01175]
        try expectClose(gradient.rows(0..<1).elements, first, tolerance: 1e-5, "of token 0")
    }

    /// With equal widths and first choices it is the load-balancing loss.
    @Test func withEqualWidthsItBalancesLoads() throws {
        let decision = route(Self.q, Self.configuration([4], [32], .first))
        try expectClose([Self.penalty(decision).value(decision)], [TestBalance().value(decision)], tolerance: 1e-6, "loss")
        let all = route(Self.q, Self.configuration([4], [32]))
        try expectClose([Self.penalty(all).value(all)], [2.025], tolerance: 1e-6, "every choice counts")
    }

    /// 4-4 of widths 1024 and 3072: A = (7168, 6144), so that an expert of the first stratum costs 1024 + 6144 and one of the
    /// second 3072: relative to their mean, 1.4 and 0.6.
    @Test func whatIsToComeCounts() throws {
        var configuration = Self.configuration([4, 4], [1024, 3072], .first, .toGo)
        configuration.capacityFactor = nil
        let context = ComputeContext(threads: 1)
        let router = StratifiedRouter(GateSite(name: "gate", configuration: configuration, stratum: 0, dim: 1))
        for (expert, value) in [(0, 1.4 * 8 * 0.3), (7, 0.6 * 8 * 0.3)] as [(Int, Float)] {
            let p: [Float] = (0..<8).map { $0 == expert ? 0.3 : 0.1 }
            let decision = router.route(
                context, logits: context.tensor(p.map { Float(log(Double($0))) }, rows: 1, columns: 8), rows: [0],
                key: RandomKey(seed: 1), isTraining: true)
            try expectClose([Self.penalty(decision).value(decision)], [value], tolerance: 1e-5, "of expert \(expert)")
        }
    }

    @Test func noTokens() {
        let decision = route([], Self.configuration([3], [8, 16, 24]))
        #expect(Self.penalty(decision).value(decision) == 0)
    }

    @Test(arguments: [Settings.Counts.all, .first], [Settings.Width.own, .toGo])
    func gradientsAgreeWithDifferences(counts: Settings.Counts, width: Settings.Width) throws {
        let configuration = Self.configuration([2, 3], [4, 9, 3, 6, 12], counts, width, weight: 0.7)
        try BlockGradients.check(configuration, dropout: 0.1, tolerance: 1e-2, "\(counts), \(width)")
    }

    @Test func gateGradientsAgreeWithDifferences() throws {
        for counts in [Settings.Counts.all, .first] {
            try RouterGradients.check(Self.configuration([2, 5], [4, 9], counts), "\(counts)")
        }
    }

    @Test(arguments: BlockWorld.few) func manyRanksAreOne(world: BlockWorld) throws {
        let widths = (0..<world.strata.reduce(0, +)).map { 3 + $0 * 5 % 11 }
        try world.expectOneRank(Self.configuration(world.strata, widths, .all, .toGo))
    }

    @Test func keys() throws {
        let read = try WrittenMixture.read(
            #"{"strata": [4], "width_penalty": {"weight": 0.2, "counts": "first", "width": "to_go"}}"#)
        let settings = try #require(read[WidthPenalty.self].settings)
        #expect(settings.weight == 0.2 && settings.counts == .first && settings.width == .toGo)
        #expect(read.additions == ["width penalty"])
        #expect(try WrittenMixture.isReadAgain(read))
        #expect(try WrittenMixture.read(#"{"strata": [4], "width_penalty": {}}"#)[WidthPenalty.self].settings == Settings())
        #expect(!WrittenMixture.keys(MixtureConfiguration(strata: [4])).contains("width_penalty"))
        #expect(
            WrittenMixture.problem(#"{"strata": [4], "width_penalty": {"counts": "alle"}}"#).contains(
                "moe.width_penalty.counts must be all or first, but is alle; did you mean all?"))
    }
}
