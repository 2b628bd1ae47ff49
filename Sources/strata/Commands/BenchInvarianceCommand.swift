import ArgumentParser
import Benchmarks
import Files
import Reporting

/// `strata bench invariance`: whether ranks, threads and the rest change a bit.
struct BenchInvarianceCommand: ParsableCommand, RunsOnRanks {
    static let configuration = CommandConfiguration(
        commandName: "invariance",
        abstract: "Train in many ways (ranks, threads, sharding, resumption) and compare the bits.",
        discussion: """
            Ranks are simulated; under mpirun, the ranks that were started against one simulated. Sentences are synthetic. \
            Status 1 if a way ends in other bits.

            Example:
              strata bench invariance --config configs/quickstart.yaml --updates 200
              mpirun -n 2 strata bench invariance --config configs/quickstart.yaml
            """)

    @OptionGroup var options: BenchmarkOptions

    @Option(parsing: .unconditional, help: ArgumentHelp("Updates of each way.", valueName: "n"))
    var updates = 20

    @Flag(help: .json)
    var json = false

    func run() throws {
        let status = try RankWorld.run { ranks in
            let benchmark = try ranks.together {
                try require("--updates", updates, in: 2...1_000_000)
                return try InvarianceBenchmark(options.load(), updates: updates)
            }
            let display = ranks.isFirst ? ProgressDisplay() : nil
            let parallel = try ranks.together { try options.load().parallel }
            let figures =
                ranks.world.size == 1
                ? try benchmark.measure(display: display)
                : try ranks.computing(parallel) {
                    try benchmark.measure(
                        on: ranks.world, threads: ranks.threads(configured: parallel.threadsPerRank), display: display)
                }
            if ranks.isFirst { print(json ? try JSONText.pretty(figures) : figures.text, terminator: "") }
            return figures.areEqual ? .done : .failed
        }
        if status != .done { throw ExitCode(status.rawValue) }
    }
}
