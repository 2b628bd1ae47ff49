import TensorCore

/// What a gate's scores are of its logits, row by row.
public protocol ScoreFunction: Sendable {
    /// logits [T, V] → scores [T, V].
    func forward(_ logits: Tensor, into scores: Tensor)
    /// The gradient of the logits from that of the scores, in its place, [T, V].
    func backward(scores: Tensor, gradient: Tensor)
}

/// A method with a score function of its own.
public protocol ScoringMethod: MixtureMethod {
    /// nil where the configuration makes no use of the method.
    var scoreFunction: (any ScoreFunction)? { get }
}

/// The softmax of each row (5).
struct SoftmaxScores: ScoreFunction {
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
