/// Matrix products over the worker pool. Each piece is one single-threaded BLAS call on a band of the result, optionally
/// followed by an element-wise epilogue while the band is still in the cache.
public enum MatrixProduct {
    /// Rows of a band: enough for BLAS to reach its speed, few enough that two threads finish together.
    static func band(_ rows: Int, threads: Int) -> Int {
        if threads == 1 { return max(64, min(rows, 512)) }
        let even = (rows + threads - 1) / threads
        // Several bands a thread evens out the end; below about 128 rows packing the other factor costs too much.
        return max(64, min(even, max(192, (rows / (threads * 4) + 63) / 64 * 64)))
    }

    /// out [T, n] ← x [T, k] · wᵀ, w [n, k]; then `epilogue(rows)` for each finished band of rows.
    public static func forward(
        _ context: ComputeContext, x: Tensor, w: Tensor, into out: Tensor, epilogue: (Range<Int>) -> Void = { _ in }
    ) {
        precondition(x.columns == w.columns && out.rows == x.rows && out.columns == w.rows)
        let (xp, wp, op) = (x.pointer, w.pointer, out.pointer)
        let (k, n) = (x.columns, w.rows)
        context.pool.parallelRanges(x.rows, grain: band(x.rows, threads: context.pool.threads)) { rows in
            BLAS.multiply(
                m: rows.count, n: n, k: k, xp + rows.lowerBound * k, lda: k, transposedA: false,
                wp, ldb: k, transposedB: true, beta: 0, op + rows.lowerBound * n, ldc: n)
            epilogue(rows)
        }
    }

    /// dx [T, k] ← dy [T, n] · w, w [n, k]; added to dx if `accumulate`.
    public static func backwardInput(
        _ context: ComputeContext, dy: Tensor, w: Tensor, into dx: Tensor, accumulate: Bool = false,
        epilogue: (Range<Int>) -> Void = { _ in }
    ) {
        precondition(dy.columns == w.rows && dx.rows == dy.rows && dx.columns == w.columns)
        let (dyp, wp, dxp) = (dy.pointer, w.pointer, dx.pointer)
        let (n, k) = (w.rows, w.columns)
        context.pool.parallelRanges(dy.rows, grain: band(dy.rows, threads: context.pool.threads)) { rows in
            BLAS.multiply(
                m: rows.count, n: k, k: n, dyp + rows.lowerBound * n, lda: n, transposedA: false,
                wp, ldb: k, transposedB: false, beta: accumulate ? 1 : 0, dxp + rows.lowerBound * k, ldc: k)
            epilogue(rows)
        }
    }

    /// dw [n, k] += dyᵀ · x, dy [T, n], x [T, k].
    public static func backwardWeight(_ context: ComputeContext, dy: Tensor, x: Tensor, into dw: Tensor) {
        precondition(dy.rows == x.rows && dw.rows == dy.columns && dw.columns == x.columns)
        guard dy.rows > 0 else { return }
        let (dyp, xp, dwp) = (dy.pointer, x.pointer, dw.pointer)
        let (tokens, n, k) = (dy.rows, dw.rows, dw.columns)
        context.pool.parallelRanges(n, grain: band(n, threads: context.pool.threads)) { rows in
            BLAS.multiply(
                m: rows.count, n: k, k: tokens, dyp + rows.lowerBound, lda: n, transposedA: true,
                xp, ldb: k, transposedB: false, beta: 1, dwp + rows.lowerBound * k, ldc: k)
        }
    }
}
