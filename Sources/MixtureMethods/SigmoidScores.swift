import ConfigurationForms
import Foundation
import MixtureOfExperts
import TensorCore

/// Sigmoid scores ("DeepSeek-V3 Technical Report", arXiv 2412.19437): s = 1 / (1 + e^−logit), so that experts do not compete for a
/// token's score. Its weights are s over the kept choices' sum, as `gate_normalization` says; losses take s over the sum of all.
public struct SigmoidScores: ScoringMethod {
    public enum Score: String, CaseIterable, Sendable {
        case softmax
        case sigmoid
    }

    public var score = Score.softmax

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        [.init("score", \.score, .choice, isWritten: { $0.score != .softmax })]
    }

    public func addition(to configuration: MixtureConfiguration) -> String? { score == .sigmoid ? "sigmoid scores" : nil }

    public var scoreFunction: (any ScoreFunction)? { score == .sigmoid ? Sigmoid() : nil }
}

private struct Sigmoid: ScoreFunction {
    let addsUpToOne = false

    func forward(_ logits: Tensor, into scores: Tensor) {
        for index in 0..<logits.count { scores.pointer[index] = 1 / (1 + exp(-logits.pointer[index])) }
    }

    /// s (1 − s).
    func backward(scores: Tensor, gradient: Tensor) {
        for index in 0..<scores.count { gradient.pointer[index] *= scores.pointer[index] * (1 - scores.pointer[index]) }
    }
}
