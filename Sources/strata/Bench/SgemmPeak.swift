import Foundation
import TensorCore

/// The speed of single-threaded BLAS on large matrices, on all of a rank's threads at once: what everything else is measured by.
enum SgemmPeak {
    private static let size = 1024

    /// GFLOP/s of this rank's threads together; best of several runs.
    static func gflops(_ context: ComputeContext) -> Double {
        let n = size, threads = context.pool.threads
        let a = context.zeros(threads * n, n), b = context.zeros(threads * n, n), c = context.zeros(threads * n, n)
        for tensor in [a, b] { for i in 0..<tensor.count { tensor.pointer[i] = Float(i % 13) * 0.1 } }
        let best = (0..<6).map { _ in
            Stopwatch.seconds {
                context.pool.parallelFor(threads) { t in
                    for _ in 0..<4 {
                        BLAS.multiply(
                            m: n, n: n, k: n, a.row(t * n), lda: n, transposedA: false, b.row(t * n), ldb: n, transposedB: true,
                            beta: 0, c.row(t * n), ldc: n)
                    }
                }
            }
        }.min() ?? .nan
        return Double(8 * threads) * pow(Double(n), 3) / best / 1e9
    }
}
