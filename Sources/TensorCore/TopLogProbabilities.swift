import Foundation

/// The likeliest words of each row, with their log-probabilities.
public enum TopLogProbabilities {
    public struct Candidate: Equatable, Sendable {
        public let token: Int32
        public let logProbability: Float

        public init(token: Int32, logProbability: Float) {
            self.token = token
            self.logProbability = logProbability
        }
    }

    /// Columns that are looked at together. Where a distribution's sum is cut depends on this alone.
    private static let chunk = 128

    /// The `count` best tokens of each row of `logits` [R, V], best first; between equal logits the lower token. `forbidden`
    /// tokens are never chosen, and take no part in the distribution: where fewer than `count` are left, there are fewer
    /// candidates. Writes into `logits`.
    public static func select(
        _ context: ComputeContext, logits: Tensor, count: Int, forbidden: [Int32]
    ) -> [[Candidate]] {
        precondition(count >= 1 && count <= logits.columns)
        var best = BestOfRows(rows: logits.rows, count: count)
        best.withEach(context, grain: 1) { rows, best in
            for row in rows {
                let z = logits.row(row)
                for token in forbidden { z[Int(token)] = -.infinity }
                for start in stride(from: 0, to: logits.columns, by: chunk) {
                    best.add(z + start, min(chunk, logits.columns - start), firstToken: start, row: row)
                }
            }
        }
        return best.candidates
    }

    /// The same of the logits `states` [R, d] · weightsᵀ, which never exist as a whole.
    public static func select(
        _ context: ComputeContext, states: Tensor, weights: PackedWeights, count: Int, forbidden: [Int32]
    ) -> [[Candidate]] {
        let vocabulary = weights.outputs, sorted = forbidden.sorted()
        precondition(count >= 1 && count <= vocabulary && states.columns == weights.inputs)
        var best = BestOfRows(rows: states.rows, count: count)
        defer { withExtendedLifetime(states) {} }
        // Few rows: a thread would read all weights for its own.
        let grain = max(1, (states.rows + context.pool.threads - 1) / context.pool.threads)
        best.withEach(context, grain: grain) { rows, best in
            let logits = context.uninitialized(rows.count, chunk)
            defer { withExtendedLifetime(logits) {} }
            weights.withRows(states.row(rows.lowerBound), stride: states.columns, count: rows.count) { inputs in
                var banned = sorted[...]
                for start in stride(from: 0, to: vocabulary, by: chunk) {
                    let columns = start..<min(start + chunk, vocabulary)
                    weights.multiply(inputs, count: rows.count, columns: columns, into: logits.pointer, outStride: chunk)
                    while let token = banned.first, Int(token) < columns.upperBound {
                        for row in 0..<rows.count { logits[row, Int(token) - start] = -.infinity }
                        banned.removeFirst()
                    }
                    for row in rows {
                        best.add(logits.row(row - rows.lowerBound), columns.count, firstToken: start, row: row)
                    }
                }
            }
        }
        return best.candidates
    }
}

/// What is known of each row's distribution while its logits come by, a chunk at a time.
private struct BestOfRows {
    fileprivate struct Entry {
        var token: Int32
        var logit: Float
    }

    private let count: Int
    /// The best of each row so far, best first; `count` places a row.
    private var chosen: [Entry]
    private var filled: [Int]
    /// By row: the largest logit, and Σ e^(logit − largest).
    private var largest: [Float]
    private var sums: [Float]

    init(rows: Int, count: Int) {
        self.count = count
        chosen = [Entry](repeating: Entry(token: 0, logit: -.infinity), count: rows * count)
        filled = [Int](repeating: 0, count: rows)
        largest = [Float](repeating: -.infinity, count: rows)
        sums = [Float](repeating: 0, count: rows)
    }

    /// Calls `body` for ranges of `grain` rows, on all threads.
    mutating func withEach(_ context: ComputeContext, grain: Int, _ body: (Range<Int>, Rows) -> Void) {
        let (rows, count) = (filled.count, count)
        chosen.withUnsafeMutableBufferPointer { chosen in
            filled.withUnsafeMutableBufferPointer { filled in
                largest.withUnsafeMutableBufferPointer { largest in
                    sums.withUnsafeMutableBufferPointer { sums in
                        let all = Rows(count: count, chosen: chosen, filled: filled, largest: largest, sums: sums)
                        context.pool.parallelRanges(rows, grain: grain) { body($0, all) }
                    }
                }
            }
        }
    }

    /// Best first; what has no probability is left out.
    var candidates: [[TopLogProbabilities.Candidate]] {
        filled.indices.map { row in
            let logSum = log(sums[row]) + largest[row]
            return chosen[row * count..<row * count + filled[row]].filter { $0.logit > -.infinity }
                .map { TopLogProbabilities.Candidate(token: $0.token, logProbability: $0.logit - logSum) }
        }
    }

    /// Each row is one thread's.
    struct Rows: @unchecked Sendable {
        fileprivate let count: Int
        fileprivate let chosen: UnsafeMutableBufferPointer<Entry>
        fileprivate let filled: UnsafeMutableBufferPointer<Int>
        fileprivate let largest: UnsafeMutableBufferPointer<Float>
        fileprivate let sums: UnsafeMutableBufferPointer<Float>

        /// Takes in the next `width` logits of a row, of which the first is `firstToken`'s. Overwrites them.
        func add(_ z: UnsafeMutablePointer<Float>, _ width: Int, firstToken: Int, row: Int) {
            let maximum = SoftmaxKernel.maximum(z, count: width)
            guard maximum > -.infinity else { return }
            choose(z, width, firstToken, row, maximum)
            let before = largest[row], now = max(before, maximum)
            // e^−∞ is 0: the first chunk finds nothing to be scaled.
            if now > before { sums[row] *= exp(before - now) }
            largest[row] = now
            sums[row] += SoftmaxKernel.exponentiate(z, count: width, scale: 1, maximum: now)
        }

        /// Groups whose largest logit is below the worst chosen one are passed over.
        private func choose(
            _ z: UnsafeMutablePointer<Float>, _ width: Int, _ firstToken: Int, _ row: Int, _ maximum: Float
        ) {
            let best = chosen.baseAddress! + row * count
            var filled = filled[row], threshold = filled < count ? -Float.infinity : best[count - 1].logit
            guard filled < count || maximum > threshold else { return }
            var start = 0
            while start < width {
                let end = min(start + 16, width)
                if filled < count || end - start < 16 || z.vector(at: start).largest > threshold {
                    for index in start..<end where filled < count || z[index] > threshold {
                        var place = filled < count ? filled : count - 1
                        while place > 0 && best[place - 1].logit < z[index] {
                            best[place] = best[place - 1]
                            place -= 1
                        }
                        best[place] = Entry(token: Int32(firstToken + index), logit: z[index])
                        filled = min(filled + 1, count)
                        if filled == count { threshold = best[count - 1].logit }
                    }
                }
                start = end
            }
            self.filled[row] = filled
        }
    }
}
