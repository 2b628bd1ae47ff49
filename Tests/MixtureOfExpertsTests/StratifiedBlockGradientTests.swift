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

    private static func check(_ configuration: MixtureConfiguration, dropout: Float, _ what: String) throws {
        try alone { communicator in
            let tiny = try TinyBlock(configuration, group: communicator, dropout: dropout)
            tiny.avoidKinks()
            let x = tiny.tokens(9, seed: 21), weights = tiny.tokens(9, seed: 22)
            let lossScale: Float = 1.5
            let dx = try tiny.train(x, doutput: weights, lossScale: lossScale).dx
            func objective() throws -> (Double, Discrete) {
                let outcome = try tiny.forward(x)
                let output = zip(outcome.output.value.buffer, weights.buffer).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
                return (output + Double(lossScale) * Double(outcome.loadBalancingLoss),
                        Discrete(experts: outcome.decisions.map(\.experts), kept: outcome.decisions.map(\.kept)))
            }
            let differences = CentralDifferences()
            try differences.check(dx, at: x.buffer, "\(what): dx", objective: objective)
            try tiny.store.forEachSlice { name, _, values, gradients in
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

    @Test(arguments: [[1], [3], [1, 1, 1], [2, 1], [1, 3]]) func strata(strata: [Int]) throws {
        var configuration = MixtureConfiguration(strata: strata)
        configuration.capacityFactor = nil
        try Self.check(configuration, dropout: 0.1, "strata \(strata)")
    }
}
