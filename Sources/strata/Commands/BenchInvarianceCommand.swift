import ArgumentParser
import Benchmarks
import Files
import Reporting

/// `strata bench invariance`: whether ranks, threads and the rest change a bit.
struct BenchInvarianceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "invariance",
        abstract: "Train in many ways (ranks, threads, sharding, resumption) and compare the bits.",
        discussion: """
            Ranks are simulated; sentences are synthetic. Status 1 if a way ends in other bits.

            Example:
              strata bench invariance --config configs/quickstart.yaml --updates 200
            """)

    @OptionGroup var options: BenchmarkOptions

    @Option(parsing: .unconditional, help: ArgumentHelp("Updates of each way.", valueName: "n"))
    var updates = 20

    @Flag(help: .json)
    var json = false

    func run() throws {
        try require("--updates", updates, in: 2...1_000_000)
        let figures = try InvarianceBenchmark(options.load(), updates: updates).measure(display: ProgressDisplay())
        print(json ? try JSONText.pretty(figures) : figures.text, terminator: "")
        if !figures.areEqual { throw ExitCode.failure }
    }
}
