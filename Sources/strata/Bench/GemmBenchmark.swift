import ArgumentParser
import Foundation
import TensorCore

/// `strata bench gemm`: what BLAS reaches on one core and on all.
struct GemmBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gemm",
        abstract: "Single-threaded BLAS calls on one core, and one on every core at once.",
        discussion: "Example:\n  strata bench gemm --json")

    @Option(help: "Threads; the default is one for each core.")
    var threads: Int?

    @Flag(help: "Print the figures as JSON.")
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
        guard (1...1024).contains(count) else { throw CommandFailure(.usage, "--threads must be 1 to 1024, but is \(count)") }
        let figures = Figures(
            core: BLASInformation.coreName, oneThreadGflops: SgemmPeak.gflops(ComputeContext(threads: 1)),
            allThreadsGflops: SgemmPeak.gflops(ComputeContext(threads: count)), threads: count)
        if json { return try BenchOutput.print(figures) }
        print("sgemm, \(figures.core) kernels: \(Format.decimal(figures.oneThreadGflops, 0)) GFLOP/s on one thread, "
            + "\(Format.decimal(figures.allThreadsGflops, 0)) on \(count)")
    }
}

/// Figures as JSON alone on standard output.
enum BenchOutput {
    static func print(_ figures: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        Swift.print(String(decoding: try encoder.encode(figures), as: UTF8.self))
    }
}
