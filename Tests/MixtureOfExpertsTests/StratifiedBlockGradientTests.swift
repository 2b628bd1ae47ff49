import MixtureOfExperts
import Testing
import _TestSupport

/// The block's gradients with rules, orders and experts of all kinds.
@Suite(.hangLimit) struct StratifiedBlockGradientTests {
    private static func configuration(_ strata: [Int], _ rule: any MixtureMethod = BestChoice()) -> MixtureConfiguration {
        MixtureConfiguration(strata: strata, methods: [rule, TestBalance(), LogitSize(weight: 0.3)])
    }

    @Test(arguments: [1, 2, 3, 4], GateNormalization.allCases)
    func choices(k: Int, normalization: GateNormalization) throws {
        for rule in [BestChoice(), RaggedChoice()] as [any MixtureMethod] {
            for capacity in [nil, 1] as [Float?] {
                var configuration = Self.configuration([2, 3], rule)
                configuration.topK = k
                configuration.gateNormalization = normalization
                configuration.capacityFactor = capacity
                try BlockGradients.check(
                    configuration, dropout: 0.1,
                    "\(rule), k \(k), \(normalization), capacity \(capacity ?? 0)")
            }
        }
    }

    @Test(arguments: CapacityPriority.allCases) func priorities(priority: CapacityPriority) throws {
        for rule in [BestChoice(), RaggedChoice()] as [any MixtureMethod] {
            var configuration = Self.configuration([2, 3], rule)
            (configuration.topK, configuration.capacityFactor, configuration.capacityPriority) = (3, 0.7, priority)
            try BlockGradients.check(configuration, dropout: 0.1, "\(rule), \(priority)")
        }
    }

    @Test(arguments: [1, 2, 3], [[3], [2, 3], [3, 2]]) func stacked(k: Int, strata: [Int]) throws {
        for rule in [BestChoice(), RaggedChoice()] as [any MixtureMethod] {
            for capacity in [nil, 1] as [Float?] {
                var configuration = Self.configuration(strata, rule)
                configuration[TestOrder.self] = TestOrder(.stacked)
                (configuration.topK, configuration.capacityFactor) = (k, capacity)
                // A chain of gates without residuals bends more within a step.
                try BlockGradients.check(
                    configuration, dropout: 0.1, tolerance: 1e-2,
                    "\(rule), k \(k), strata \(strata), capacity \(capacity ?? 0)")
            }
        }
    }

    @Test(arguments: [[1], [3], [1, 1, 1], [2, 1], [1, 3]]) func strata(strata: [Int]) throws {
        var configuration = Self.configuration(strata)
        configuration.capacityFactor = nil
        try BlockGradients.check(configuration, dropout: 0.1, "strata \(strata)")
    }

    @Test func unequalExperts() throws {
        var configuration = Self.configuration([2, 3], RaggedChoice())
        (configuration.topK, configuration.capacityFactor) = (3, 1)
        configuration[UnequalExperts.self] = UnequalExperts(step: 4)
        try BlockGradients.check(configuration, dropout: 0.1, "unequal experts")
    }
}
