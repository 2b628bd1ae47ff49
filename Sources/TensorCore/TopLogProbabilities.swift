import Foundation

/// The likeliest words of each row of logits, with their log-probabilities.
public enum TopLogProbabilities {
    public struct Candidate: Equatable, Sendable {
        public let token: Int32
        public let logProbability: Float
    }

    /// The `count` best tokens of each row of `logits` [R, V], best first; between equal logits the lower token. `forbidden`
    /// tokens are never chosen, and take no part in the distribution: where fewer than `count` are left, there are fewer
    /// candidates. Writes into `logits`.
    public static func select(
        _ context: ComputeContext, logits: Tensor, count: Int, forbidden: [Int32]
    ) -> [[Candidate]] {
        let vocabulary = logits.columns, lp = logits.pointer
        precondition(count >= 1 && count <= vocabulary)
        var result = [[Candidate]](repeating: [], count: logits.rows)
        result.withUnsafeMutableBufferPointer { result in
            nonisolated(unsafe) let rows = result
            context.pool.parallelFor(logits.rows) { r in
                let z = lp + r * vocabulary
                for token in forbidden { z[Int(token)] = -.infinity }
                rows[r] = best(z, vocabulary, count)
            }
        }
        return result
    }

    private static func best(_ z: UnsafeMutablePointer<Float>, _ vocabulary: Int, _ count: Int) -> [Candidate] {
        var chosen: [(token: Int, logit: Float)] = []
        var threshold = -Float.infinity, start = 0
        // Blocks whose largest logit is below the worst chosen one are passed over.
        while start < vocabulary {
            let end = min(start + 64, vocabulary)
            if chosen.count < count || SoftmaxKernel.maximum(z + start, count: end - start) > threshold {
                for token in start..<end where chosen.count < count || z[token] > threshold {
                    var place = chosen.count
                    while place > 0 && chosen[place - 1].logit < z[token] { place -= 1 }
                    chosen.insert((token, z[token]), at: place)
                    if chosen.count > count { chosen.removeLast() }
                    threshold = chosen[chosen.count - 1].logit
                }
            }
            start = end
        }
        let maximum = chosen[0].logit
        let sum = SoftmaxKernel.exponentiate(z, count: vocabulary, scale: 1, maximum: maximum)
        let logSum = log(sum) + maximum
        return chosen.filter { $0.logit > -.infinity }
            .map { Candidate(token: Int32($0.token), logProbability: $0.logit - logSum) }
    }
}
