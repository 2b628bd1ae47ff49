import Foundation

/// Self-contrast in decoding (SCMoE, arXiv 2405.14507): the model's next-token scores, moved away from those of a weaker pass of
/// the same model over the same prefix. The weak pass leaves a block after some strata, so that what later strata add is amplified, or
/// takes a worse expert at every gate.
public struct Contrast: Equatable, Sendable {
    public enum Weak: Equatable, Sendable {
        /// A token passes so many strata in a block at most (Strata's own).
        case rounds(Int)
        /// A token takes the expert of this rank alone at every gate, 1 the best, with weight 1 (equation 4); where a gate sees fewer,
        /// the last one.
        case rank(Int)

        public var text: String {
            switch self {
            case .rounds(let rounds): "rounds:\(rounds)"
            case .rank(let rank): "rank:\(rank)"
            }
        }
    }

    public var weak: Weak
    /// Tokens are candidates whose probability in the strong pass is at least this share of the likeliest one's.
    public var alpha: Float
    /// How far scores are moved; 0: not at all.
    public var beta: Float

    public init(_ weak: Weak, alpha: Float = 0.1, beta: Float = 0.5) {
        precondition(alpha > 0 && alpha <= 1 && beta >= 0)
        self.weak = weak
        self.alpha = alpha
        self.beta = beta
    }

    /// As signatures have it.
    public var text: String { "\(weak.text), alpha \(alpha), beta \(beta)" }

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
