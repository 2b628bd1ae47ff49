import ArgumentParser
import Benchmarks
import Files
import TensorCore

/// `strata bench experts`: grouped experts, forward and backward, against plain matrix products of as many operations.
struct BenchExpertsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "experts",
        abstract: "Grouped experts, forward and backward, against one matrix product of equal operations a pass.",
        discussion: """
            Rows are spread over the experts evenly, by Zipf's law, all to one expert, or to every second expert alone. The \
            figure is the speed of the experts over that of products of the same total rows: 1 is as fast.

            Example:
              strata bench experts --dim 512 --ffn 2048
              strata bench experts --experts 4 --threads 1 --json
              strata bench experts --experts 4 --ratios 9,13,19,23
            """)

    @Option(parsing: .unconditional, help: ArgumentHelp("Width of the model.", valueName: "n"))
    var dim = 512

    @Option(parsing: .unconditional, help: ArgumentHelp("Width of the experts.", valueName: "n"))
    var ffn = 2048

    @Option(parsing: .unconditional, help: ArgumentHelp("Experts on this rank.", valueName: "n"))
    var experts = 8

    @Option(parsing: .unconditional, help: ArgumentHelp("Threads; the default is one for each core.", valueName: "n"))
    var threads: Int?

    @Option(parsing: .unconditional, help: ArgumentHelp("Repetitions of which the median counts.", valueName: "n"))
    var repetitions = 5

    @Option(
        help: ArgumentHelp(
            "Also measure experts whose widths have these ratios, one an expert, in turn with equal ones as wide together.",
            valueName: "n,n"))
    var ratios: String?

    @Flag(help: .json)
    var json = false

    func run() throws {
        let threads = threads ?? Processors.available
        try require("--dim", dim, in: 1...65_536)
        try require("--ffn", ffn, in: 1...1_048_576)
        try require("--experts", experts, in: 1...4096)
        try require("--threads", threads, in: 1...1024)
        try require("--repetitions", repetitions, in: 1...1_000_000)
        let figures = ExpertsBenchmark(
            dim: dim, ffn: ffn, experts: experts, threads: threads, repetitions: repetitions, ratios: try widthRatios()
        ).measure()
        print(json ? try JSONText.pretty(figures) : ExpertsBenchmark.text(figures), terminator: "")
    }

    private func widthRatios() throws -> [Int]? {
        guard let ratios else { return nil }
        let numbers = ratios.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
        guard numbers.count == experts, numbers.allSatisfy({ (1...65_536).contains($0 ?? 0) }) else {
            throw CommandFailure(
                .usage, "--ratios must be \(experts) numbers between 1 and 65536, such as 9,13,19,23, but is '\(ratios)'")
        }
        return numbers.compactMap { $0 }
    }
}
