import COpenBLAS

/// The BLAS library, with one thread a call: its own threads reach less than the worker pool, and would fight it for the
/// cores.
public enum OpenBLAS {
    /// Version and build options, such as `OpenBLAS 0.3.26 DYNAMIC_ARCH NO_AFFINITY SkylakeX MAX_THREADS=64`.
    public static var configuration: String { openblas_get_config().map { String(cString: $0) } ?? "" }

    /// The processor whose kernels it has chosen, such as `Haswell` (AVX2) or `SkylakeX` (AVX-512).
    public static var coreName: String { openblas_get_corename().map { String(cString: $0) } ?? "" }

    private static let useOneThreadPerCall: Void = openblas_set_num_threads(1)

    /// The product of `GEMM.multiply`, without its epilogue; m and n are not 0.
    static func multiply(
        m: Int, n: Int, k: Int, _ a: GEMM.Factor, _ b: GEMM.Factor, accumulate: Bool, into c: UnsafeMutablePointer<Float>,
        stride: Int
    ) {
        _ = useOneThreadPerCall
        cblas_sgemm(
            CblasRowMajor, a.isTransposed ? CblasTrans : CblasNoTrans, b.isTransposed ? CblasTrans : CblasNoTrans,
            blasint(m), blasint(n), blasint(k), 1, a.start, blasint(a.stride), b.start, blasint(b.stride),
            accumulate ? 1 : 0, c, blasint(stride))
    }
}
