/// Attention of single queries to keys that lie anywhere in memory: one step of decoding, where each row looks back along its
/// own hypothesis and at its own source sentence. A row's result depends on nothing but its query and what it sees.
public enum CachedAttentionKernel {
    /// The keys that each row sees: row r has `rows[offsets[r] ..< offsets[r + 1]]`, each pointing to a key of heads · headDim
    /// floats, with its value `valueOffset` floats further on. The tensors they point into must live as long as the call.
    public struct Entries {
        public let offsets: [Int]
        public let rows: [UnsafePointer<Float>]
        public let valueOffset: Int

        public init(offsets: [Int], rows: [UnsafePointer<Float>], valueOffset: Int) {
            precondition(offsets.first == 0 && offsets.last == rows.count)
            self.offsets = offsets
            self.rows = rows
            self.valueOffset = valueOffset
        }
    }

    /// The keys that each row sees where they lie one after another: row r has `counts[r]` of them from `starts[r]` on, `stride`
    /// floats apart.
    public struct Spans {
        public let starts: [UnsafePointer<Float>]
        public let counts: [Int]
        public let stride: Int
        public let valueOffset: Int

        public init(starts: [UnsafePointer<Float>], counts: [Int], stride: Int, valueOffset: Int) {
            precondition(starts.count == counts.count)
            self.starts = starts
            self.counts = counts
            self.stride = stride
            self.valueOffset = valueOffset
        }
    }

    /// queries [R, ≥ heads · headDim], the first columns of each row → out [R, heads · headDim].
    public static func run(
        _ context: ComputeContext, queries: Tensor, entries: Entries, heads: Int, headDim: Int, into out: Tensor
    ) {
        precondition(entries.offsets.count == queries.rows + 1)
        entries.rows.withUnsafeBufferPointer { rows in
            forEachRow(context, queries, heads: heads, headDim: headDim, into: out) {
                entries.offsets[$0 + 1] - entries.offsets[$0]
            } body: { row, attention in
                let first = entries.offsets[row]
                attention.run(count: entries.offsets[row + 1] - first, valueOffset: entries.valueOffset) { rows[first + $0] }
            }
        }
    }

    /// The same of keys that lie one after another.
    public static func run(
        _ context: ComputeContext, queries: Tensor, spans: Spans, heads: Int, headDim: Int, into out: Tensor
    ) {
        precondition(spans.counts.count == queries.rows)
        forEachRow(context, queries, heads: heads, headDim: headDim, into: out) {
            spans.counts[$0]
        } body: { row, attention in
            let start = spans.starts[row], stride = spans.stride
            attention.run(count: spans.counts[row], valueOffset: spans.valueOffset) { start + $0 * stride }
        }
    }

    @inline(__always)
    private static func forEachRow(
        _ context: ComputeContext, _ queries: Tensor, heads: Int, headDim: Int, into out: Tensor,
        count: (Int) -> Int, body: (Int, RowAttention) -> Void
    ) {
        precondition(out.columns == heads * headDim && out.rows == queries.rows && queries.columns >= out.columns)
        let longest = (0..<queries.rows).reduce(1) { max($0, count($1)) }, grain = 8
        let padded = (longest + 15) & ~15
        let scores = context.uninitialized(max(1, (queries.rows + grain - 1) / grain), padded)
        defer { withExtendedLifetime((scores, queries, out)) {} }
        context.pool.parallelRanges(queries.rows, grain: grain) { rows in
            for row in rows {
                body(
                    row,
                    RowAttention(
                        query: UnsafePointer(queries.row(row)), out: out.row(row), scores: scores.row(row / grain),
                        heads: heads,
                        headDim: headDim))
            }
        }
    }
}

/// One row's attention, head after head.
private struct RowAttention {
    let query: UnsafePointer<Float>
    let out: UnsafeMutablePointer<Float>
    /// Room for as many scores as there are keys, and the next multiple of 16.
    let scores: UnsafeMutablePointer<Float>
    let heads: Int
    let headDim: Int

    @inline(__always)
    func run(count: Int, valueOffset: Int, key: (Int) -> UnsafePointer<Float>) {
        let scale = 1 / Float(headDim).squareRoot()
        for head in 0..<heads {
            let first = head * headDim
            for i in 0..<count { scores[i] = dot(query + first, key(i) + first) }
            SoftmaxKernel.normalizePadded(scores, count: count, padded: (count + 15) & ~15, scale: scale)
            mix(count, into: out + first) { key($0) + valueOffset + first }
        }
    }

    @inline(__always)
    private func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>) -> Float {
        var sums = Vector.zero, c = 0
        while c + 16 <= headDim { sums = sums.addingProduct(a.vector(at: c), b.vector(at: c)); c += 16 }
        var sum = sums.total
        while c < headDim { sum += a[c] * b[c]; c += 1 }
        return sum
    }

    /// out ← Σ scores[i] · value(i), some columns at a time, whose sums stay in registers.
    @inline(__always)
    private func mix(_ count: Int, into out: UnsafeMutablePointer<Float>, value: (Int) -> UnsafePointer<Float>) {
        var c = 0
        while c + 64 <= headDim {
            var (s0, s1, s2, s3) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
            for i in 0..<count {
                let v = value(i) + c, weight = Vector(repeating: scores[i])
                s0 = s0.addingProduct(v.vector(at: 0), weight)
                s1 = s1.addingProduct(v.vector(at: 16), weight)
                s2 = s2.addingProduct(v.vector(at: 32), weight)
                s3 = s3.addingProduct(v.vector(at: 48), weight)
            }
            out.store(s0, at: c)
            out.store(s1, at: c + 16)
            out.store(s2, at: c + 32)
            out.store(s3, at: c + 48)
            c += 64
        }
        while c + 16 <= headDim {
            var sum = Vector.zero
            for i in 0..<count { sum = sum.addingProduct((value(i) + c).vector(at: 0), Vector(repeating: scores[i])) }
            out.store(sum, at: c)
            c += 16
        }
        while c < headDim {
            var sum: Float = 0
            for i in 0..<count { sum += value(i)[c] * scores[i] }
            out[c] = sum
            c += 1
        }
    }
}
