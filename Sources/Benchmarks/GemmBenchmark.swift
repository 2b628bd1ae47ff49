import Reporting
import TensorCore

/// What matrix products reach on one core and on all.
public enum GemmBenchmark {
    public struct Figures: Encodable {
        /// The kernels that the program uses.
        let kernels: String
        let oneThreadGflops: Double
        let allThreadsGflops: Double
        /// The processor that OpenBLAS's kernels are for.
        let core: String
        let openBLASOneThreadGflops: Double
        let openBLASAllThreadsGflops: Double
        let threads: Int

        enum CodingKeys: String, CodingKey {
            case kernels, core, threads
            case oneThreadGflops = "one_thread_gflops"
            case allThreadsGflops = "all_threads_gflops"
            case openBLASOneThreadGflops = "openblas_one_thread_gflops"
            case openBLASAllThreadsGflops = "openblas_all_threads_gflops"
        }
    }

    /// The products on one thread and on `threads`.
    public static func measure(threads: Int) -> Figures {
        let one = ComputeContext(threads: 1), all = ComputeContext(threads: threads)
        let openBLAS = [one, all].map { SgemmPeak.gflops($0, using: .openBLAS) }
        let used = GEMM.kernels == .openBLAS ? openBLAS : [one, all].map { SgemmPeak.gflops($0, using: GEMM.kernels) }
        return Figures(
            kernels: "\(GEMM.kernels)", oneThreadGflops: used[0], allThreadsGflops: used[1], core: OpenBLAS.coreName,
            openBLASOneThreadGflops: openBLAS[0], openBLASAllThreadsGflops: openBLAS[1], threads: threads)
    }
}

extension GemmBenchmark.Figures {
    /// A line for the program's kernels, and one for OpenBLAS where those are others.
    public var text: String {
        func line(_ kernels: String, _ one: Double, _ all: Double) -> String {
            "\(kernels): \(NumberText.decimal(one, 0)) GFLOP/s on one thread, \(NumberText.decimal(all, 0)) on \(threads)\n"
        }
        let own = line("\(kernels), used", oneThreadGflops, allThreadsGflops)
        let other = "\(GEMM.Kernels.openBLAS)"
        return kernels == other ? own : own + line(other, openBLASOneThreadGflops, openBLASAllThreadsGflops)
    }
}
