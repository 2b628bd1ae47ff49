/// Attention of single queries to keys that lie anywhere in memory: one step of decoding, where each row looks back along its
/// own hypothesis.
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

    /// queries [R, ≥ heads · headDim], the first columns of each row → out [R, heads · headDim].
    public static func run(
        _ context: ComputeContext, queries: Tensor, entries: Entries, heads: Int, headDim: Int, into out: Tensor
    ) {
        precondition(entries.offsets.count == queries.rows + 1 && out.columns == heads * headDim)
        let (qp, op, stride) = (queries.pointer, out.pointer, queries.columns)
        let longest = (0..<queries.rows).reduce(0) { max($0, entries.offsets[$1 + 1] - entries.offsets[$1]) }
        let scores = context.uninitialized(max(queries.rows, 1), max(longest, 1))
        let scale = 1 / Float(headDim).squareRoot()
        entries.rows.withUnsafeBufferPointer { rows in
            context.pool.parallelFor(queries.rows) { r in
                let range = entries.offsets[r]..<entries.offsets[r + 1]
                let s = scores.row(r)
                for head in 0..<heads {
                    let q = qp + r * stride + head * headDim, o = op + r * heads * headDim + head * headDim
                    for (i, entry) in range.enumerated() { s[i] = dot(q, rows[entry] + head * headDim, headDim) }
                    SoftmaxKernel.normalize(s, count: range.count, scale: scale)
                    o.update(repeating: 0, count: headDim)
                    for (i, entry) in range.enumerated() {
                        add(rows[entry] + entries.valueOffset + head * headDim, times: s[i], to: o, headDim)
                    }
                }
            }
        }
    }

    @inline(__always)
    private static func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
        var sums = Vector.zero, c = 0
        while c + 16 <= count { sums = sums.addingProduct(a.vector(at: c), b.vector(at: c)); c += 16 }
        var sum = sums.total
        while c < count { sum += a[c] * b[c]; c += 1 }
        return sum
    }

    @inline(__always)
    private static func add(
        _ source: UnsafePointer<Float>, times factor: Float, to target: UnsafeMutablePointer<Float>, _ count: Int
    ) {
        var c = 0
        while c + 16 <= count {
            target.store(target.vector(at: c).addingProduct(source.vector(at: c), Vector(repeating: factor)), at: c)
            c += 16
        }
        while c < count { target[c] += source[c] * factor; c += 1 }
    }
}
