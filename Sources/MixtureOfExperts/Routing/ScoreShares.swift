import TensorCore

/// A token's scores over their sum, [T, V], where they do not add up to 1 by themselves: what losses take for probabilities.
enum ScoreShares {
    /// q_e = s_e / Σ s; all 0 where every score is 0.
    static func forward(_ context: ComputeContext, _ scores: Tensor) -> Tensor {
        let shares = context.uninitialized(scores.rows, scores.columns)
        for token in 0..<scores.rows {
            let s = scores.row(token), q = shares.row(token), inverse = inverseSum(s, scores.columns)
            for expert in 0..<scores.columns { q[expert] = s[expert] * inverse }
        }
        return shares
    }

    /// Adds to the gradient of the scores from that of the shares: ds_e = (dq_e − Σ q dq) / Σ s.
    static func backward(_ dshares: Tensor, shares: Tensor, scores: Tensor, addingTo dscores: Tensor) {
        for token in 0..<scores.rows {
            let q = shares.row(token), dq = dshares.row(token), ds = dscores.row(token)
            let inverse = inverseSum(scores.row(token), scores.columns)
            var inner: Float = 0
            for expert in 0..<scores.columns { inner += q[expert] * dq[expert] }
            for expert in 0..<scores.columns { ds[expert] += (dq[expert] - inner) * inverse }
        }
    }

    private static func inverseSum(_ scores: UnsafePointer<Float>, _ count: Int) -> Float {
        var sum: Float = 0
        for expert in 0..<count { sum += scores[expert] }
        return sum > .leastNormalMagnitude ? 1 / sum : 0
    }
}
