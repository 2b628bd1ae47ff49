import Foundation

/// Self-contrast in decoding (SCMoE, arXiv 2405.14507): the model's next-token scores, moved away from those of a weaker pass of
/// the same model over the same prefix. Here the weak pass leaves a block after some strata; what later strata add is amplified.
public struct Contrast: Equatable, Sendable {
    /// Strata that a token passes in a block at most in the weak pass.
    public var rounds: Int
    /// Tokens are candidates whose probability in the strong pass is at least this share of the likeliest one's.
    public var alpha: Float
    /// How far scores are moved; 0: not at all.
    public var beta: Float

    public init(rounds: Int, alpha: Float = 0.1, beta: Float = 0.5) {
        precondition(rounds >= 1 && alpha > 0 && alpha <= 1 && beta >= 0)
        self.rounds = rounds
        self.alpha = alpha
        self.beta = beta
    }

    /// As signatures have it.
    public var text: String { "rounds:\(rounds), alpha \(alpha), beta \(beta)" }

    /// Replaces logits of the strong pass, [count], by (1 + β) z_s − β z_w where the token is a candidate, that is z_s ≥ log α +
    /// max z_s, and by −∞ elsewhere (equations 5 and 6). Forbidden tokens come as −∞: they are never candidates, and the maximum is
    /// over the others. The likeliest token always is a candidate.
    public func apply(_ strong: UnsafeMutablePointer<Float>, weak: UnsafePointer<Float>, count: Int) {
        var largest = -Float.infinity
        for token in 0..<count { largest = max(largest, strong[token]) }
        let threshold = largest + log(alpha)
        for token in 0..<count {
            let isCandidate = strong[token] >= threshold && strong[token] > -.infinity
            strong[token] = isCandidate ? (1 + beta) * strong[token] - beta * weak[token] : -.infinity
        }
    }
}
