/// Matrix products over the worker pool. Each piece is one product on a band of the result, on one thread.
///
/// Which bands there are depends on the number of threads, and with OpenBLAS's kernels so may the last bits of a result.
public enum MatrixProduct {
    /// out [T, n] ← x [T, k] · wᵀ, w [n, k], with `epilogue`; then `finish(rows)` for each band of rows.
    public static func forward(
        _ context: ComputeContext, precision: GEMM.Precision = .float32, x: Tensor, w: Tensor,
        epilogue: GEMM.Epilogue = .none, into out: Tensor, finish: ((Range<Int>) -> Void)? = nil
    ) {
        precondition(x.columns == w.columns && out.rows == x.rows && out.columns == w.rows)
        let (xp, wp, op) = (x.pointer, w.pointer, out.pointer)
        let (k, n) = (x.columns, w.rows)
        forEachBand(context, rows: x.rows, columns: n, finish: finish) { rows, columns in
            GEMM.multiply(
                precision: precision, m: rows.count, n: columns.count, k: k, GEMM.Factor(xp + rows.lowerBound * k, stride: k),
                GEMM.Factor(wp + columns.lowerBound * k, stride: k, transposed: true),
                epilogue: epilogue.from(row: rows.lowerBound, column: columns.lowerBound),
                into: op + rows.lowerBound * n + columns.lowerBound, stride: n)
        }
    }

    /// dx [T, k] ← dy [T, n] · w, w [n, k], or added to dx if `accumulate`; with `epilogue`.
    public static func backwardInput(
        _ context: ComputeContext, precision: GEMM.Precision = .float32, dy: Tensor, w: Tensor, accumulate: Bool = false,
        epilogue: GEMM.Epilogue = .none, into dx: Tensor
    ) {
        precondition(dy.columns == w.rows && dx.rows == dy.rows && dx.columns == w.columns)
        let (dyp, wp, dxp) = (dy.pointer, w.pointer, dx.pointer)
        let (n, k) = (w.rows, w.columns)
        forEachBand(context, rows: dy.rows, columns: k) { rows, columns in
            GEMM.multiply(
                precision: precision, m: rows.count, n: columns.count, k: n, GEMM.Factor(dyp + rows.lowerBound * n, stride: n),
                GEMM.Factor(wp + columns.lowerBound, stride: k), accumulate: accumulate,
                epilogue: epilogue.from(row: rows.lowerBound, column: columns.lowerBound),
                into: dxp + rows.lowerBound * k + columns.lowerBound, stride: k)
        }
    }

    /// dw [n, k] += dyᵀ · x, dy [T, n], x [T, k].
    public static func backwardWeight(
        _ context: ComputeContext, precision: GEMM.Precision = .float32, dy: Tensor, x: Tensor, into dw: Tensor
    ) {
        precondition(dy.rows == x.rows && dw.rows == dy.columns && dw.columns == x.columns)
        guard dy.rows > 0 else { return }
        let (dyp, xp, dwp) = (dy.pointer, x.pointer, dw.pointer)
        let (tokens, n, k) = (dy.rows, dw.rows, dw.columns)
        forEachBand(context, rows: n, columns: k) { rows, columns in
            GEMM.multiply(
                precision: precision, m: rows.count, n: columns.count, k: tokens,
                GEMM.Factor(dyp + rows.lowerBound, stride: n, transposed: true),
                GEMM.Factor(xp + columns.lowerBound, stride: k), accumulate: true,
                into: dwp + rows.lowerBound * k + columns.lowerBound, stride: k)
        }
    }

    /// Cuts a result [rows, columns] into bands of rows or, if it has few rows and more columns, into bands of columns: a call
    /// packs all of the factor that is not cut, which few rows do not make up for.
    private static func forEachBand(
        _ context: ComputeContext, rows: Int, columns: Int, finish: ((Range<Int>) -> Void)? = nil,
        _ product: (Range<Int>, Range<Int>) -> Void
    ) {
        let pool = context.pool
        if pool.threads > 1 && rows < 128 * pool.threads && columns > rows {
            pool.parallelRanges(columns, grain: band(columns, threads: pool.threads, atMost: columns)) { product(0..<rows, $0) }
            if let finish { pool.parallelRanges(rows, grain: (rows + pool.threads - 1) / pool.threads, finish) }
        } else {
            pool.parallelRanges(rows, grain: band(rows, threads: pool.threads, atMost: GEMM.bandRows)) { band in
                product(band, 0..<columns)
                finish?(band)
            }
        }
    }

    /// Rows or columns of a band: equal shares, four a thread if each keeps 128, so that a thread that is held up leaves some
    /// of its share to others; of whole panels of columns, and of `most` at most.
    private static func band(_ count: Int, threads: Int, atMost most: Int) -> Int {
        let shares = threads == 1 ? 1 : threads * max(1, min(4, count / (threads * 128)))
        let needed = (count + most - 1) / most
        let bands = max(shares, (needed + threads - 1) / threads * threads)
        return min(most, ((count + bands - 1) / bands + 31) / 32 * 32)
    }
}
