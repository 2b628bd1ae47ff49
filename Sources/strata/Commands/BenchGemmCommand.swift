import ArgumentParser
import Benchmarks
import Files
import TensorCore

/// `strata bench gemm`: what matrix products reach on one core and on all.
struct BenchGemmCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gemm",
        abstract: "Single-threaded matrix products on one core, and one on every core at once.",
        discussion: """
            Both of the kernels that training uses on this processor and of OpenBLAS, which may be the same.

            Example:
              strata bench gemm
              strata bench gemm --threads 4 --json
            """)

    @Option(parsing: .unconditional, help: ArgumentHelp("Threads; the default is one for each core.", valueName: "n"))
    var threads: Int?

    @Flag(help: .json)
    var json = false

    func run() throws {
        let count = threads ?? Processors.available
        try require("--threads", count, in: 1...1024)
        let figures = GemmBenchmark.measure(threads: count)
        print(json ? try JSONText.pretty(figures) : figures.text, terminator: "")
    }
}
