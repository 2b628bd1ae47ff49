import ConfigurationForms
import Foundation
import MixtureOfExperts
import TensorCore

/// The router z-loss of one gate ("ST-MoE", arXiv 2202.08906): the mean over tokens of (log Σ e^logit)², which keeps logits small;
/// no tokens give 0.
public struct RouterZLoss: RoutingLoss {
    public static let figure = "z_loss"
    public static let title = "router z-loss"

    public var weight: Float = 0

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        [.init("router_z_loss", \.weight, .number(.atLeast(0)), isWritten: { $0.weight != 0 })]
    }

    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        requireProbabilities(configuration, path, key: "router_z_loss", problems)
    }

    public func addition(to configuration: MixtureConfiguration) -> String? { isInUse ? "z-loss" : nil }

    public var isInUse: Bool { weight > 0 }

    public func value(_ decision: RoutingDecision) -> Float {
        let squares = (0..<decision.tokens).reduce(0.0) { sum, token in
            let logSum = Double(Self.logSum(decision.gate.logits, token))
            return sum + logSum * logSum
        }
        return Float(squares / Double(max(decision.tokens, 1)))
    }

    /// The gradient 2 log Σ · p / T, with p the softmax of the logits.
    public func addLogitGradient(_ decision: RoutingDecision, scale: Float, to dlogits: Tensor) {
        let logits = decision.gate.logits
        for token in 0..<decision.tokens {
            let logSum = Self.logSum(logits, token), factor = 2 * scale * logSum / Float(decision.tokens)
            for expert in 0..<logits.columns { dlogits[token, expert] += factor * exp(logits[token, expert] - logSum) }
        }
    }

    private static func logSum(_ logits: Tensor, _ token: Int) -> Float {
        let row = UnsafeBufferPointer(start: logits.row(token), count: logits.columns), largest = row.max() ?? 0
        return largest + log(row.reduce(0) { $0 + exp($1 - largest) })
    }
}
