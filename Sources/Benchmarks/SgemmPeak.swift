import Foundation
import TensorCore

/// The speed of single-threaded products of large matrices, on all of a rank's threads at once: what everything else is
/// measured by.
enum SgemmPeak {
    private static let size = 1024

    /// GFLOP/s of this rank's threads together, with whichever kernels are faster: a program that used the slower ones would
    /// not look better for it.
    static func gflops(_ context: ComputeContext) -> Double {
        Set([GEMM.kernels, .openBLAS]).map { gflops(context, using: $0) }.max() ?? .nan
    }

    /// Best of several runs.
    static func gflops(_ context: ComputeContext, using kernels: GEMM.Kernels) -> Double {
        let n = size, threads = context.pool.threads
        let a = context.zeros(threads * n, n), b = context.zeros(threads * n, n), c = context.zeros(threads * n, n)
        for tensor in [a, b] { for i in 0..<tensor.count { tensor.pointer[i] = Float(i % 13) * 0.1 } }
        let best =
            (0..<6).map { _ in
                Stopwatch.seconds {
                    context.pool.parallelFor(threads) { t in
                        for _ in 0..<4 {
                            GEMM.multiply(
                                using: kernels, m: n, n: n, k: n, GEMM.Factor(a.row(t * n), stride: n),
                                GEMM.Factor(b.row(t * n), stride: n, transposed: true), into: c.row(t * n), stride: n)
                        }
                    }
                }
            }.min() ?? .nan
        return Double(8 * threads) * pow(Double(n), 3) / best / 1e9
    }
}
