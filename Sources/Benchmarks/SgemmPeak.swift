import Foundation
import TensorCore

/// The speed of single-threaded products of large matrices, on all of a rank's threads at once: what everything else is
/// measured by.
public enum SgemmPeak {
    /// How long it is looked for.
    public enum Care: Sendable {
        /// Some tenths of a second: for benchmarks.
        case thorough
        /// Some hundredths: before a training.
        case glance

        /// Rows and columns of the matrices; runs, of which the best counts, and products of a run.
        fileprivate var size: Int { self == .thorough ? 1024 : 512 }
        fileprivate var runs: Int { self == .thorough ? 6 : 3 }
        fileprivate var products: Int { 4 }
    }

    /// GFLOP/s of this rank's threads together in a precision, with the kernels that the program uses; if there is time, or with
    /// OpenBLAS's where those are faster: a program that used the slower ones would not look better for it.
    public static func gflops(_ context: ComputeContext, precision: GEMM.Precision, _ care: Care = .thorough) -> Double {
        let others: [GEMM.Kernels] = care == .thorough && precision == .float32 ? [.openBLAS] : []
        return Set([GEMM.kernels] + others).map { gflops(context, using: $0, precision: precision, care) }.max() ?? .nan
    }

    static func gflops(
        _ context: ComputeContext, using kernels: GEMM.Kernels, precision: GEMM.Precision = .float32, _ care: Care = .thorough
    ) -> Double {
        let n = care.size, threads = context.pool.threads
        let a = context.zeros(threads * n, n), b = context.zeros(threads * n, n), c = context.zeros(threads * n, n)
        for tensor in [a, b] { for i in 0..<tensor.count { tensor.pointer[i] = Float(i % 13) * 0.1 } }
        let best =
            (0..<care.runs).map { _ in
                Stopwatch.seconds {
                    context.pool.parallelFor(threads) { t in
                        for _ in 0..<care.products {
                            GEMM.multiply(
                                using: kernels, precision: precision, m: n, n: n, k: n,
                                GEMM.Factor(a.row(t * n), stride: n),
                                GEMM.Factor(b.row(t * n), stride: n, transposed: true), into: c.row(t * n), stride: n)
                        }
                    }
                }
            }.min() ?? .nan
        return Double(2 * care.products * threads) * pow(Double(n), 3) / best / 1e9
    }
}
