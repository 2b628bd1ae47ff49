import ConfigurationForms
import MixtureOfExperts
import TensorCore

/// The load-balancing loss of one gate, (8–11): V Σ_e f_e p̄_e, with f_e the fraction of the tokens that e leads, before dropping,
/// and p̄_e the mean share of the scores. Equal loads give 1; no tokens give 0.
public struct LoadBalancing: RoutingLoss {
    public static let figure = "aux"
    public static let title = "load-balancing loss"

    /// The weight α.
    public var weight: Float = 0.01

    public init() {}

    public static var fields: [ConfigurationField<Self>] { [.init("aux_loss_weight", \.weight, .number(.atLeast(0)))] }

    /// Its figure is of interest without a weight too.
    public var isInUse: Bool { true }

    public func value(_ decision: RoutingDecision) -> Float {
        guard decision.tokens > 0 else { return 0 }
        let fractions = decision.leadingFractions, shares = decision.gate.shares
        var total = 0.0
        for expert in fractions.indices where fractions[expert] > 0 {
            var sum = 0.0
            for token in 0..<decision.tokens { sum += Double(shares[token, expert]) }
            total += Double(fractions[expert]) * sum
        }
        return Float(Double(fractions.count) * total / Double(decision.tokens))
    }

    /// V f_e / T for every token's share of e; f has none.
    public func addShareGradient(_ decision: RoutingDecision, scale: Float, to dshares: Tensor) {
        let fractions = decision.leadingFractions
        let gradients = fractions.map { scale * (Float(fractions.count) * $0 / Float(max(decision.tokens, 1))) }
        for token in 0..<decision.tokens {
            let dq = dshares.row(token)
            for expert in gradients.indices { dq[expert] += gradients[expert] }
        }
    }
}
