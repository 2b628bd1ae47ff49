import COpenBLAS

/// The BLAS library that does the matrix products, one thread a call: the worker pool splits the work, because the library's
/// own threads reach less than ours and would fight them for the cores.
public enum BLAS {
    private static let configured: Void = openblas_set_num_threads(1)

    static func useOneThreadPerCall() { _ = configured }

    /// C ← α op(A) op(B) + β C on the calling thread; all row-major. op(A) is [m, k], op(B) is [k, n], C is [m, n]; `lda`,
    /// `ldb`, `ldc` are the distances between the rows of the matrices as stored.
    @inline(__always)
    public static func multiply(
        m: Int, n: Int, k: Int, alpha: Float = 1,
        _ a: UnsafePointer<Float>, lda: Int, transposedA: Bool,
        _ b: UnsafePointer<Float>, ldb: Int, transposedB: Bool,
        beta: Float, _ c: UnsafeMutablePointer<Float>, ldc: Int
    ) {
        guard m > 0, n > 0 else { return }
        cblas_sgemm(
            CblasRowMajor, transposedA ? CblasTrans : CblasNoTrans, transposedB ? CblasTrans : CblasNoTrans,
            blasint(m), blasint(n), blasint(k), alpha, a, blasint(lda), b, blasint(ldb), beta, c, blasint(ldc))
    }
}
