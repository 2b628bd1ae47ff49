import ArgumentParser
import Files
import Foundation
import Reporting
import TensorCore

/// `strata bench gemm`: what matrix products reach on one core and on all.
struct GemmBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gemm",
        abstract: "Single-threaded matrix products on one core, and one on every core at once.",
        discussion: """
            Both of the kernels that training uses on this processor and of OpenBLAS, which may be the same.

            Example:
              strata bench gemm
              strata bench gemm --threads 4 --json
            """)

    @Option(help: ArgumentHelp("Threads; the default is one for each core.", valueName: "n"))
    var threads: Int?

    @Flag(help: .json)
    var json = false

    private struct Figures: Encodable {
        /// Of the kernels that the program uses.
        let kernels: String
        let oneThreadGflops: Double
        let allThreadsGflops: Double
        /// Of OpenBLAS, with its kernels for `core`.
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

    func run() throws {
        let count = threads ?? Processors.available
        try require("--threads", count, in: 1...1024)
        let one = ComputeContext(threads: 1), all = ComputeContext(threads: count)
        let openBLAS = [one, all].map { SgemmPeak.gflops($0, using: .openBLAS) }
        let used = GEMM.kernels == .openBLAS ? openBLAS : [one, all].map { SgemmPeak.gflops($0, using: GEMM.kernels) }
        let figures = Figures(
            kernels: "\(GEMM.kernels)", oneThreadGflops: used[0], allThreadsGflops: used[1], core: OpenBLAS.coreName,
            openBLASOneThreadGflops: openBLAS[0], openBLASAllThreadsGflops: openBLAS[1], threads: count)
        if json { return print(try JSONText.pretty(figures), terminator: "") }
        func line(_ kernels: String, _ gflops: [Double]) -> String {
            "\(kernels): \(NumberText.decimal(gflops[0], 0)) GFLOP/s on one thread, \(NumberText.decimal(gflops[1], 0)) on \(count)"
        }
        print(line("\(GEMM.kernels), used", used))
        if GEMM.kernels != .openBLAS { print(line("\(GEMM.Kernels.openBLAS)", openBLAS)) }
    }
}
