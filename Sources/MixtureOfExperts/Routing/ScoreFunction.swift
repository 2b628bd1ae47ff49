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
    /// What its gates' scores are: the softmax, where no method says otherwise.
    public var scoreFunction: any ScoreFunction {
        methods(for: (any ScoringMethod).self).lazy.compactMap(\.scoreFunction).first ?? SoftmaxScores()
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
