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
        /// In bfloat16, with the program's kernels; nil where the processor has no instructions for it.
        let bfloat16OneThreadGflops: Double?
        let bfloat16AllThreadsGflops: Double?
        let threads: Int

        enum CodingKeys: String, CodingKey {
            case kernels, core, threads
            case oneThreadGflops = "one_thread_gflops"
            case allThreadsGflops = "all_threads_gflops"
            case openBLASOneThreadGflops = "openblas_one_thread_gflops"
            case openBLASAllThreadsGflops = "openblas_all_threads_gflops"
            case bfloat16OneThreadGflops = "bfloat16_one_thread_gflops"
            case bfloat16AllThreadsGflops = "bfloat16_all_threads_gflops"
        }
    }

    /// The products on one thread and on `threads`.
    public static func measure(threads: Int) -> Figures {
        let one = ComputeContext(threads: 1), all = ComputeContext(threads: threads)
        let openBLAS = [one, all].map { SgemmPeak.gflops($0, using: .openBLAS) }
        let used = GEMM.kernels == .openBLAS ? openBLAS : [one, all].map { SgemmPeak.gflops($0, using: GEMM.kernels) }
        let hasBFloat16 = (try? GEMM.checkTraining(in: .bfloat16)) != nil
        let bfloat16 = [one, all].map { hasBFloat16 ? SgemmPeak.gflops($0, precision: .bfloat16) : nil }
        return Figures(
            kernels: "\(GEMM.kernels)", oneThreadGflops: used[0], allThreadsGflops: used[1], core: OpenBLAS.coreName,
            openBLASOneThreadGflops: openBLAS[0], openBLASAllThreadsGflops: openBLAS[1],
            bfloat16OneThreadGflops: bfloat16[0], bfloat16AllThreadsGflops: bfloat16[1], threads: threads)
    }
}

extension GemmBenchmark.Figures {
    /// A line for the program's kernels, one for their products in bfloat16 if they can, and one for OpenBLAS where those are others.
    public var text: String {
        func line(_ kernels: String, _ one: Double, _ all: Double) -> String {
            "\(kernels): \(NumberText.decimal(one, 0)) GFLOP/s on one thread, \(NumberText.decimal(all, 0)) on \(threads)\n"
        }
        var own = line("\(kernels), used", oneThreadGflops, allThreadsGflops)
        if let one = bfloat16OneThreadGflops, let all = bfloat16AllThreadsGflops {
            own += line("the same in bfloat16", one, all)
        }
        let other = "\(GEMM.Kernels.openBLAS)"
        return kernels == other ? own : own + line(other, openBLASOneThreadGflops, openBLASAllThreadsGflops)
    }
}
