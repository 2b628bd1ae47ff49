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

    /// Where each sentence's softmax weights begin: for each head, rows of `paddedLength` keys, zero beyond the last key.
    private let probabilityOffsets: [Int]
    /// Floats that forward saves for backward: about heads × Σ queries × keys.
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
            offsets.append(offsets[s] + heads * Self.blockSize(querySegments.length(s), keySegments.length(s)))
        }
        probabilityOffsets = offsets
    }

    /// Rows of weights are padded to whole vectors, which spares every pass its tail.
    private static func paddedLength(_ keys: Int) -> Int { (keys + 15) & ~15 }
    /// Floats of one head's weights: whole blocks of a dropout mask.
    private static func blockSize(_ queries: Int, _ keys: Int) -> Int { (queries * paddedLength(keys) + 31) & ~31 }

    /// What dropout multiplies a softmax weight by.
    func dropoutFactor(sentence: Int, head: Int, query: Int, key: Int) -> Float {
        let (n, m) = (querySegments.length(sentence), keySegments.length(sentence))
        let block = probabilityOffsets[sentence] + head * Self.blockSize(n, m)
        return mask.factor(row: 0, column: block + query * Self.paddedLength(m) + key, columns: 32)
    }

    /// Multiplications and additions of the two products over the keys that queries see.
    public var forwardFlops: Int {
        (0..<querySegments.count).reduce(0) { sum, s in
            let (n, m) = (querySegments.length(s), keySegments.length(s))
            return sum + 4 * headDim * heads * (causal ? n * (n + 1) / 2 : n * m)
        }
    }

    private var scale: Float { 1 / Float(headDim).squareRoot() }

    /// One head of one sentence: n queries, m keys, and where they lie.
    private struct Head {
        let n: Int
        let m: Int
        let padded: Int
        let block: Int
        let firstQuery: Int
        let firstKey: Int
        let column: Int
        /// The first of its weights in the buffer of all.
        let offset: Int
    }

    private func head(_ piece: Int) -> Head {
        let (s, index) = (piece / heads, piece % heads)
        let (n, m) = (querySegments.length(s), keySegments.length(s))
        let block = Self.blockSize(n, m)
        return Head(
            n: n, m: m, padded: Self.paddedLength(m), block: block, firstQuery: querySegments.offsets[s],
            firstKey: keySegments.offsets[s], column: index * headDim, offset: probabilityOffsets[s] + index * block)
    }

    /// output [Tq, heads · headDim]; the softmax, before dropout, goes to `probabilities` (`probabilityCount` floats).
    public func forward(
        _ context: ComputeContext, queries: Columns, keys: Columns, values: Columns, probabilities: Tensor,
        into output: Tensor
    ) {
        let (pp, op, width) = (probabilities.pointer, output.pointer, heads * headDim)
        context.pool.parallelFor(querySegments.count * heads) { piece in
            let h = head(piece)
            guard h.n > 0 else { return }
            let scratch = context.uninitialized(1, h.padded * headDim + (mask.dropsNothing ? 0 : h.block))
            defer { withExtendedLifetime(scratch) {} }
            let q = queries.pointer + h.firstQuery * queries.stride + h.column
            let k = keys.pointer + h.firstKey * keys.stride + h.column
            let v = values.pointer + h.firstKey * values.stride + h.column
            let p = pp + h.offset
            multiplyTransposed(h, q, queries.stride, k, keys.stride, panels: scratch.pointer, into: p)
            for row in 0..<h.n {
                SoftmaxKernel.normalizePadded(
                    p + row * h.padded, count: causal ? row + 1 : h.m, padded: h.padded, scale: scale)
            }
            var weights = p
            if !mask.dropsNothing {
                weights = scratch.pointer + h.padded * headDim
                applyMask(p, h.n * h.padded, offset: h.offset, into: weights)
            }
            SmallProduct.multiply(
                rows: h.n, columns: headDim, k: h.m, weights, aRow: h.padded, aStep: 1, v, bStep: values.stride,
                into: op + h.firstQuery * width + h.column, cRow: width)
        }
    }

    /// Writes dqueries, dkeys and dvalues from doutput [Tq, heads · headDim] and what forward saved.
    public func backward(
        _ context: ComputeContext, doutput: Tensor, queries: Columns, keys: Columns, values: Columns, probabilities: Tensor,
        dqueries: Columns, dkeys: Columns, dvalues: Columns
    ) {
        let (pp, gp, width) = (probabilities.pointer, doutput.pointer, heads * headDim)
        context.pool.parallelFor(querySegments.count * heads) { piece in
            let h = head(piece)
            let scratch = context.uninitialized(1, h.padded * headDim + h.block * (mask.dropsNothing ? 1 : 2))
            defer { withExtendedLifetime(scratch) {} }
            let q = queries.pointer + h.firstQuery * queries.stride + h.column
            let k = keys.pointer + h.firstKey * keys.stride + h.column
            let v = values.pointer + h.firstKey * values.stride + h.column
            let g = gp + h.firstQuery * width + h.column
            let p = pp + h.offset, ds = scratch.pointer + h.padded * headDim
            var weights = p
            if !mask.dropsNothing {
                weights = ds + h.block
                applyMask(p, h.n * h.padded, offset: h.offset, into: weights)
            }
            SmallProduct.multiply(
                rows: h.m, columns: headDim, k: h.n, weights, aRow: 1, aStep: h.padded, g, bStep: width,
                into: dvalues.pointer + h.firstKey * dvalues.stride + h.column, cRow: dvalues.stride)
            multiplyTransposed(h, g, width, v, values.stride, panels: scratch.pointer, into: ds)
            for row in 0..<h.n {
                softmaxBackward(p + row * h.padded, weights + row * h.padded, ds + row * h.padded, h.padded)
            }
            SmallProduct.multiply(
                rows: h.n, columns: headDim, k: h.m, ds, aRow: h.padded, aStep: 1, k, bStep: keys.stride,
                into: dqueries.pointer + h.firstQuery * dqueries.stride + h.column, cRow: dqueries.stride)
            SmallProduct.multiply(
                rows: h.m, columns: headDim, k: h.n, ds, aRow: 1, aStep: h.padded, q, bStep: queries.stride,
                into: dkeys.pointer + h.firstKey * dkeys.stride + h.column, cRow: dkeys.stride)
        }
    }

    /// out [n, padded] ← x [n, headDim] · yᵀ, y [m, headDim]; zero beyond column m. `panels` has room for y, padded.
    private func multiplyTransposed(
        _ h: Head, _ x: UnsafePointer<Float>, _ xStride: Int, _ y: UnsafePointer<Float>, _ yStride: Int,
        panels: UnsafeMutablePointer<Float>, into out: UnsafeMutablePointer<Float>
    ) {
        if h.n < 4 {
            // A decoder's steps: one query a sentence.
            for row in 0..<h.n { (out + row * h.padded + h.m).update(repeating: 0, count: h.padded - h.m) }
            SmallProduct.multiplyTransposed(
                rows: h.n, columns: h.m, k: headDim, x, aRow: xStride, y, bRow: yStride, into: out, cRow: h.padded)
            return
        }
        SmallProduct.packTransposed(y, rows: h.m, columns: headDim, stride: yStride, into: panels)
        var column = 0
        while column < h.padded {
            SmallProduct.multiply(
                rows: h.n, columns: 16, k: headDim, x, aRow: xStride, aStep: 1, panels + column * headDim, bStep: 16,
                into: out + column, cRow: h.padded)
            column += 16
        }
    }

    /// dp → ds in place, with the dropped weights w = p · mask: ds = scale · (w · dp − p · Σ w · dp). Whole vectors.
    private func softmaxBackward(
        _ p: UnsafeMutablePointer<Float>, _ w: UnsafeMutablePointer<Float>, _ dp: UnsafeMutablePointer<Float>, _ count: Int
    ) {
        var sums = Vector.zero, c = 0
        while c < count { sums = sums.addingProduct(w.vector(at: c), dp.vector(at: c)); c += 16 }
        let sum = sums.total, scale = scale
        c = 0
        while c < count {
            dp.store((w.vector(at: c) * dp.vector(at: c) - p.vector(at: c) * sum) * scale, at: c)
            c += 16
        }
    }

    /// The mask is drawn over all probabilities as one row, so that an element's draw depends on its place in the group.
    /// `offset` is a multiple of 32, `count` one of 16.
    private func applyMask(
        _ p: UnsafeMutablePointer<Float>, _ count: Int, offset: Int, into out: UnsafeMutablePointer<Float>
    ) {
        var c = 0
        while c + 32 <= count {
            let (low, high) = mask.factors(row: 0, column: offset + c, columns: 32)
            out.store(p.vector(at: c) * low, at: c)
            out.store(p.vector(at: c + 16) * high, at: c + 16)
            c += 32
        }
        if c < count { out.store(p.vector(at: c) * mask.factors(row: 0, column: offset + c, columns: 32).0, at: c) }
    }
}
