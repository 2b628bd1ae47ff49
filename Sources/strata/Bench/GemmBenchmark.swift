import ArgumentParser
import Foundation
import Reporting
import TensorCore

/// `strata bench gemm`: what BLAS reaches on one core and on all.
struct GemmBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gemm",
        abstract: "Single-threaded BLAS calls on one core, and one on every core at once.",
        discussion: """
            Example:
              strata bench gemm
              strata bench gemm --threads 4 --json
            """)

    @Option(help: ArgumentHelp("Threads; the default is one for each core.", valueName: "n"))
    var threads: Int?

    @Flag(help: .json)
    var json = false

    private struct Figures: Encodable {
        let core: String
        let oneThreadGflops: Double
        let allThreadsGflops: Double
        let threads: Int

        enum CodingKeys: String, CodingKey {
            case core, threads
            case oneThreadGflops = "one_thread_gflops"
            case allThreadsGflops = "all_threads_gflops"
        }
    }

    func run() throws {
        let count = threads ?? Processors.available
        try require("--threads", count, in: 1...1024)
        let figures = Figures(
            core: BLASInformation.coreName, oneThreadGflops: SgemmPeak.gflops(ComputeContext(threads: 1)),
            allThreadsGflops: SgemmPeak.gflops(ComputeContext(threads: count)), threads: count)
        if json { return print(try JSONText.pretty(figures), terminator: "") }
        print("sgemm, \(figures.core) kernels: \(NumberText.decimal(figures.oneThreadGflops, 0)) GFLOP/s on one thread, "
            + "\(NumberText.decimal(figures.allThreadsGflops, 0)) on \(count)")
    }
}
