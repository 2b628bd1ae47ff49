/// Scaled dot-product attention over the sentences of a packed batch: no padding, so no masks but the causal one.
///
/// Queries, keys and values are columns of wider matrices (projections computed together), given by their first column and
/// the matrix's row width. Head h uses columns h · dh ..< (h + 1) · dh.
public struct AttentionKernel {
    public let heads: Int
    public let headDim: Int
    /// A query sees the keys up to its own position only.
    public let causal: Bool
    public let querySegments: Segments
    public let keySegments: Segments
    public let mask: DropoutMask

    /// A matrix's columns `column ..< column + heads · headDim`.
    public struct Columns {
        let pointer: UnsafeMutablePointer<Float>
        let stride: Int

        public init(_ tensor: Tensor, from column: Int) {
            pointer = tensor.pointer + column
            stride = tensor.columns
        }
    }

    private let probabilityOffsets: [Int]
    /// Floats that forward saves for backward: heads × Σ queries × keys.
    public var probabilityCount: Int { probabilityOffsets.last! }

    public init(
        heads: Int, headDim: Int, causal: Bool, querySegments: Segments, keySegments: Segments, mask: DropoutMask
    ) {
        precondition(querySegments.count == keySegments.count, "queries and keys must be of the same sentences")
        precondition(!causal || querySegments == keySegments, "a query's position must be that of its key")
        self.heads = heads
        self.headDim = headDim
        self.causal = causal
        self.querySegments = querySegments
        self.keySegments = keySegments
        self.mask = mask
        var offsets = [0]
        for s in 0..<querySegments.count {
            offsets.append(offsets[s] + heads * querySegments.length(s) * keySegments.length(s))
        }
        probabilityOffsets = offsets
    }

    /// What dropout multiplies a softmax weight by.
    func dropoutFactor(sentence: Int, head: Int, query: Int, key: Int) -> Float {
        let (n, m) = (querySegments.length(sentence), keySegments.length(sentence))
        return mask.factor(row: 0, column: probabilityOffsets[sentence] + (head * n + query) * m + key, columns: 32)
    }

    private var scale: Float { 1 / Float(headDim).squareRoot() }

    /// output [Tq, heads · headDim]; the softmax, before dropout, goes to `probabilities` (`probabilityCount` floats).
    public func forward(
        _ context: ComputeContext, queries: Columns, keys: Columns, values: Columns, probabilities: Tensor,
        into output: Tensor
    ) {
        let dropped = mask.dropsNothing ? nil : context.uninitialized(1, probabilityCount)
        let (pp, dp, op, width) = (probabilities.pointer, dropped?.pointer, output.pointer, heads * headDim)
        let offsets = probabilityOffsets
        context.pool.parallelFor(querySegments.count) { s in
            let (n, m) = (querySegments.length(s), keySegments.length(s))
            let (q0, k0) = (querySegments.offsets[s], keySegments.offsets[s])
            for head in 0..<heads {
                let p = pp + offsets[s] + head * n * m, column = head * headDim
                BLAS.multiply(
                    m: n, n: m, k: headDim, queries.pointer + q0 * queries.stride + column, lda: queries.stride,
                    transposedA: false, keys.pointer + k0 * keys.stride + column, ldb: keys.stride, transposedB: true,
                    beta: 0, p, ldc: m)
                for row in 0..<n {
                    let visible = causal ? row + 1 : m
                    SoftmaxKernel.normalize(p + row * m, count: visible, scale: scale)
                    if visible < m { (p + row * m + visible).update(repeating: 0, count: m - visible) }
                }
                var weights = p
                if let dp {
                    weights = dp + offsets[s] + head * n * m
                    applyMask(p, n * m, offset: offsets[s] + head * n * m, into: weights)
                }
                BLAS.multiply(
                    m: n, n: headDim, k: m, weights, lda: m, transposedA: false,
                    values.pointer + k0 * values.stride + column, ldb: values.stride, transposedB: false,
                    beta: 0, op + q0 * width + column, ldc: width)
            }
        }
    }

    /// Writes dqueries, dkeys and dvalues from doutput [Tq, heads · headDim] and what forward saved.
    public func backward(
        _ context: ComputeContext, doutput: Tensor, queries: Columns, keys: Columns, values: Columns, probabilities: Tensor,
        dqueries: Columns, dkeys: Columns, dvalues: Columns
    ) {
        let scratch = context.uninitialized(2, probabilityCount)
        let (pp, sp, gp, width) = (probabilities.pointer, scratch.pointer, doutput.pointer, heads * headDim)
        let (offsets, total) = (probabilityOffsets, probabilityCount)
        context.pool.parallelFor(querySegments.count) { s in
            let (n, m) = (querySegments.length(s), keySegments.length(s))
            let (q0, k0) = (querySegments.offsets[s], keySegments.offsets[s])
            for head in 0..<heads {
                let offset = offsets[s] + head * n * m, column = head * headDim
                let p = pp + offset, ds = sp + offset
                var weights = p
                if !mask.dropsNothing {
                    weights = sp + total + offset
                    applyMask(p, n * m, offset: offset, into: weights)
                }
                let g = gp + q0 * width + column
                BLAS.multiply(
                    m: m, n: headDim, k: n, weights, lda: m, transposedA: true, g, ldb: width, transposedB: false,
                    beta: 0, dvalues.pointer + k0 * dvalues.stride + column, ldc: dvalues.stride)
                BLAS.multiply(
                    m: n, n: m, k: headDim, g, lda: width, transposedA: false,
                    values.pointer + k0 * values.stride + column, ldb: values.stride, transposedB: true,
                    beta: 0, ds, ldc: m)
                for row in 0..<n {
                    softmaxBackward(p + row * m, weights + row * m, ds + row * m, m)
                }
                BLAS.multiply(
                    m: n, n: headDim, k: m, ds, lda: m, transposedA: false,
                    keys.pointer + k0 * keys.stride + column, ldb: keys.stride, transposedB: false,
                    beta: 0, dqueries.pointer + q0 * dqueries.stride + column, ldc: dqueries.stride)
                BLAS.multiply(
                    m: m, n: headDim, k: n, ds, lda: m, transposedA: true,
                    queries.pointer + q0 * queries.stride + column, ldb: queries.stride, transposedB: false,
                    beta: 0, dkeys.pointer + k0 * dkeys.stride + column, ldc: dkeys.stride)
            }
        }
    }

    /// dp → ds in place, with the dropped weights w = p · mask: ds = scale · (w · dp − p · Σ w · dp).
    private func softmaxBackward(
        _ p: UnsafeMutablePointer<Float>, _ w: UnsafeMutablePointer<Float>, _ dp: UnsafeMutablePointer<Float>, _ count: Int
    ) {
        var sums = Vector.zero, c = 0
        while c + 16 <= count { sums = sums.addingProduct(w.vector(at: c), dp.vector(at: c)); c += 16 }
        var sum = sums.total
        while c < count { sum += w[c] * dp[c]; c += 1 }
        c = 0
        while c + 16 <= count {
            dp.store((w.vector(at: c) * dp.vector(at: c) - p.vector(at: c) * sum) * scale, at: c)
            c += 16
        }
        while c < count { dp[c] = (w[c] * dp[c] - p[c] * sum) * scale; c += 1 }
    }

    /// The mask is drawn over all probabilities as one row, so that an element's draw depends on its place in the group.
    private func applyMask(
        _ p: UnsafeMutablePointer<Float>, _ count: Int, offset: Int, into out: UnsafeMutablePointer<Float>
    ) {
        var c = 0
        while c < count && (offset + c) & 31 != 0 {
            out[c] = p[c] * mask.factor(row: 0, column: offset + c, columns: 32)
            c += 1
        }
        while c + 32 <= count {
            let (low, high) = mask.factors(row: 0, column: offset + c, columns: 32)
            out.store(p.vector(at: c) * low, at: c)
            out.store(p.vector(at: c + 16) * high, at: c + 16)
            c += 32
        }
        while c < count {
            out[c] = p[c] * mask.factor(row: 0, column: offset + c, columns: 32)
            c += 1
        }
    }
}
