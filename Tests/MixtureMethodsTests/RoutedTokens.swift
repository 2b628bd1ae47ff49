import Foundation
import MixtureMethods
import MixtureOfExperts
import TensorCore
import _TestSupport

/// Routes tokens of the given probabilities at a gate of one stratum, as a configuration of all methods says.
func route(
    _ probabilities: [[Float]], _ configuration: MixtureConfiguration, isTraining: Bool = true, seed: UInt64 = 1,
    rows: [Int32]? = nil, adjustments: [any SelectionAdjustment] = []
) -> RoutingDecision {
    let context = ComputeContext(threads: 1), visible = probabilities.first?.count ?? configuration.strata[0]
    var configuration = configuration
    configuration.strata = [visible]
    let logits = context.tensor(
        probabilities.flatMap { $0.map { Float(log(Double($0))) } }, rows: probabilities.count, columns: visible)
    return StratifiedRouter(
        GateSite(name: "gate", configuration: configuration, stratum: 0, dim: 1), adjustments: adjustments
    ).route(
        context, logits: logits, rows: rows ?? probabilities.indices.map { Int32($0) }, key: RandomKey(seed: seed),
        isTraining: isTraining)
}

extension RoutingDecision {
    /// The experts of each token.
    var expertsByToken: [[Int32]] { (0..<tokens).map { Array(experts[choices(ofToken: $0)]) } }
}

/// A mixture of all methods that drops some choices, with an auxiliary loss that is felt.
func testedMixture(_ strata: [Int] = [2, 3], capacity: Float? = 1) -> MixtureConfiguration {
    var configuration = MixtureConfiguration(strata: strata)
    configuration.capacityFactor = capacity
    configuration[TestBalance.self] = TestBalance()
    return configuration
}

/// Five standard deviations of a frequency over `draws`.
func deviationBound(_ p: Double, _ draws: Int) -> Double { 5 * (p * (1 - p) / Double(draws)).squareRoot() }

/// Throws unless a block makes of a token in evaluation what it makes of it alone: a translation must not depend on what it is
/// batched with.
func expectEvaluationKnowsNoCompany(_ configuration: MixtureConfiguration) throws {
    try alone { communicator in
        let tiny = try TinyBlock(configuration, group: communicator, dropout: 0.2), count = 12
        let x = tiny.tokens(count, seed: 31), all = try tiny.forward(x, training: false)
        for token in 0..<count {
            let single = try tiny.forward(tiny.context.copy(x.rows(token..<token + 1)), training: false)
            try expectClose(all.row(token), single.elements, tolerance: 1e-6, "token \(token)")
            guard all.visits[token] == single.visits[0] else { throw Disagreement("token \(token) passes other gates alone") }
        }
    }
}
