import ConfigurationForms
import Foundation
import MixtureOfExperts
import TensorCore

/// The entropy of a gate's scores, −Σ p ln p, mean over its tokens ("Harder Tasks Need More Experts", arXiv 2403.07652; (5) of HMoE,
/// arXiv 2408.10681): with threshold choice it keeps tokens from taking more and more experts. No tokens give 0.
public struct RouterEntropy: RoutingLoss {
    public static let figure = "router_entropy"
    public static let title = "router entropy"

    /// β.
    public var weight: Float = 0

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        [.init("router_entropy", \.weight, .number(.atLeast(0)), isWritten: { $0.weight != 0 })]
    }

    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        requireProbabilities(configuration, path, key: "router_entropy", problems)
    }

    public func addition(to configuration: MixtureConfiguration) -> String? { isInUse ? "router entropy" : nil }

    public var isInUse: Bool { weight > 0 }

    public func value(_ decision: RoutingDecision) -> Float {
        let shares = decision.gate.shares
        let total = shares.buffer.reduce(0.0) { $1 > 0 ? $0 - Double($1) * log(Double($1)) : $0 }
        return Float(total / Double(max(decision.tokens, 1)))
    }

    /// −(ln p + 1) / T.
    public func addShareGradient(_ decision: RoutingDecision, scale: Float, to dshares: Tensor) {
        let shares = decision.gate.shares, factor = scale / Float(max(decision.tokens, 1))
        for index in 0..<shares.count where shares.pointer[index] > 0 {
            dshares.pointer[index] -= factor * (log(shares.pointer[index]) + 1)
        }
    }
}
