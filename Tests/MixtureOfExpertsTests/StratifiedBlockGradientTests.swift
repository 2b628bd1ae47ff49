import Autograd
import Collectives
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// The block's gradients, with everything on that training can turn on.
@Suite struct StratifiedBlockGradientTests {
    private struct Discrete: Equatable {
        let experts: [[Int32]]
        let kept: [[Bool]]
    }

    private static func check(
        _ configuration: MixtureConfiguration, dropout: Float, tolerance: Double = 4e-3, _ what: String
    ) throws {
        try alone { communicator in
            var configuration = configuration
            configuration.auxiliaryLossWeight = 1
            let tiny = try TinyBlock(configuration, group: communicator, dropout: dropout)
            tiny.avoidKinks(by: configuration.stacked ? 6 : 12)
            if configuration.stacked {
                // Without LayerNorm in between, what an expert is given must be of moderate size itself.
                for expert in tiny.block.experts.experts {
                    for index in 0..<expert.weight2.count { expert.weight2.value.pointer[index] *= 0.3 }
                }
            }
            let x = tiny.tokens(9, seed: 21), weights = tiny.tokens(9, seed: 22)
            let lossScale: Float = 1.5
            let result = try tiny.train(x, doutput: weights, lossScale: lossScale), dx = result.dx
            try #require(result.statistics.tokens > 0, "a group that is left out has no gradients to compare")
            func objective() throws -> (Double, Discrete) {
                let outcome = try tiny.forward(x)
                let output = zip(outcome.output.value.buffer, weights.buffer).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
                let others =
                    (configuration.conditionalRouting?.weight ?? 0) * outcome.budgetLoss
                    + configuration.routerZLoss * outcome.zLoss
                return (
                    output + Double(lossScale) * Double(outcome.loadBalancingLoss + others),
                    Discrete(experts: outcome.decisions.map(\.experts), kept: outcome.decisions.map(\.kept))
                )
            }
            let differences = CentralDifferences(tolerance: tolerance)
            try differences.check(dx, at: x.buffer, "\(what): dx", objective: objective)
            try tiny.store.forEachSlice { name, _, values, gradients in
                // What a bias selects is no smooth function of it.
                if name.hasSuffix("selection_bias") { return #expect(gradients.allSatisfy { $0 == 0 }) }
                try differences.check(Array(gradients), at: values, "\(what): \(name)", objective: objective)
            }
        }
    }

    @Test(arguments: [1, 2], SecondExpertPolicy.allCases)
    func choices(k: Int, policy: SecondExpertPolicy) throws {
        for normalization in GateNormalization.allCases {
            for capacity in [nil, 1] as [Float?] {
                var configuration = MixtureConfiguration(strata: [2, 3])
                configuration.topK = k
                configuration.secondExpert = policy
                configuration.gateNormalization = normalization
                configuration.capacityFactor = capacity
                try Self.check(configuration, dropout: 0, "k \(k), \(policy), \(normalization), \(capacity ?? 0)")
            }
        }
    }

    @Test(arguments: [1, 2], GateNormalization.allCases)
    func dropoutAndMasking(k: Int, normalization: GateNormalization) throws {
        for masking in [0, 0.3] as [Float] {
            var configuration = MixtureConfiguration(strata: [2, 2])
            configuration.topK = k
            configuration.gateNormalization = normalization
            configuration.expertOutputMasking = masking
            configuration.capacityFactor = 1
            try Self.check(configuration, dropout: 0.25, "k \(k), \(normalization), masking \(masking)")
        }
    }

    @Test(arguments: [[3], [2, 3]], [false, true]) func conditionalRouting(strata: [Int], stacked: Bool) throws {
        // The gate's mean is above the one budget and below the other.
        for budget in [0.05, 0.95] as [Float] {
            var configuration = MixtureConfiguration(strata: strata)
            configuration.stacked = stacked
            configuration.expertOutputMasking = 0.2
            configuration.conditionalRouting = ConditionalRouting()
            configuration.conditionalRouting?.budget = budget
            configuration.conditionalRouting?.weight = 0.7
            configuration.conditionalRouting?.gateDropout = 0.3
            try Self.check(
                configuration, dropout: 0.2, tolerance: 1e-2, "strata \(strata), stacked \(stacked), budget \(budget)")
        }
    }

    @Test(arguments: RoutingVariant.all + [.gatingDropout(0.02)]) func variants(variant: RoutingVariant) throws {
        try Self.check(variant.configuration(strata: [2, 3]), dropout: 0.1, tolerance: 1e-2, variant.name)
    }

    @Test(arguments: [1, 2], [[3], [2, 3], [3, 2]]) func stacked(k: Int, strata: [Int]) throws {
        for capacity in [nil, 1] as [Float?] {
            var configuration = MixtureConfiguration(strata: strata)
            configuration.topK = k
            configuration.stacked = true
            configuration.capacityFactor = capacity
            // A chain of gates without residuals bends more within a step.
            try Self.check(
                configuration, dropout: 0.1, tolerance: 1e-2, "k \(k), strata \(strata), capacity \(capacity ?? 0)")
        }
    }

    @Test(arguments: [[1], [3], [1, 1, 1], [2, 1], [1, 3]]) func strata(strata: [Int]) throws {
        var configuration = MixtureConfiguration(strata: strata)
        configuration.capacityFactor = nil
        try Self.check(configuration, dropout: 0.1, "strata \(strata)")
    }
}
