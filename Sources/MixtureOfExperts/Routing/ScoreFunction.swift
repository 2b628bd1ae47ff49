import Foundation
import TensorCore

/// A function from a gate's logits to its scores, row by row.
public protocol ScoreFunction: Sendable {
    /// Whether a token's scores add up to 1.
    var addsUpToOne: Bool { get }
    /// logits [T, V] → scores [T, V].
    func forward(_ logits: Tensor, into scores: Tensor)
    /// The gradient of the logits from that of the scores, in its place, [T, V].
    func backward(scores: Tensor, gradient: Tensor)
}

/// A method with a score function of its own.
public protocol ScoringMethod: MixtureMethod {
    /// The method's score function; nil where the configuration makes no use of it.
    var scoreFunction: (any ScoreFunction)? { get }
}

extension MixtureConfiguration {
    /// What its gates' scores are: the softmax, where neither the rule nor a method says otherwise.
    public var scoreFunction: any ScoreFunction {
        rule.scoreFunction ?? methods(for: (any ScoringMethod).self).lazy.compactMap(\.scoreFunction).first ?? SoftmaxScores()
    }
}

/// The softmax of each row (5).
struct SoftmaxScores: ScoreFunction {
    let addsUpToOne = true

    func forward(_ logits: Tensor, into scores: Tensor) {
        scores.copy(from: logits)
        for token in 0..<scores.rows { SoftmaxKernel.normalize(scores.row(token), count: scores.columns) }
    }

    /// ds = p (dp − Σ p dp).
    func backward(scores: Tensor, gradient: Tensor) {
        for token in 0..<scores.rows {
            let p = scores.row(token), g = gradient.row(token)
            var inner: Float = 0
            for expert in 0..<scores.columns { inner += g[expert] * p[expert] }
            for expert in 0..<scores.columns { g[expert] = p[expert] * (g[expert] - inner) }
        }
    }
}

/// 1 / (1 + e^−logit), each expert's apart from those of others.
public struct LogisticScores: ScoreFunction {
    public init() {}

    public var addsUpToOne: Bool { false }

    public func forward(_ logits: Tensor, into scores: Tensor) {
        for index in 0..<logits.count { scores.pointer[index] = 1 / (1 + exp(-logits.pointer[index])) }
    }

    /// s (1 − s).
    public func backward(scores: Tensor, gradient: Tensor) {
        for index in 0..<scores.count { gradient.pointer[index] *= scores.pointer[index] * (1 - scores.pointer[index]) }
    }
}
