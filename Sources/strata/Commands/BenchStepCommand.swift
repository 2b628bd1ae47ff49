import ArgumentParser
import Benchmarks
import Files
import Reporting

/// `strata bench step`: whole training updates on synthetic sentences.
struct BenchStepCommand: ParsableCommand, RunsOnRanks {
    static let configuration = CommandConfiguration(
        commandName: "step",
        abstract: "Whole training updates on synthetic sentences; under mpirun on as many ranks as were started.",
        discussion: """
            Example:
              mpirun -n 2 strata bench step --config configs/bench/base.yaml
              strata bench step --set training.recompute=true --steps 5 --json
            """)

    @OptionGroup var options: BenchmarkOptions

    @Option(parsing: .unconditional, help: ArgumentHelp("Updates that are timed, after one that is not.", valueName: "n"))
    var steps = 10

    @Option(parsing: .unconditional, help: ArgumentHelp("Run this many ranks as threads of one process.", valueName: "n"))
    var simulateRanks: Int?

    @Option(help: ArgumentHelp("Write each rank's phases to a file, in Chrome's trace format.", valueName: "file"))
    var profile: String?

    @Flag(help: .json)
    var json = false

    func run() throws {
        let status = try RankWorld.run(simulatedRanks: simulateRanks) { ranks in
            let configuration = try ranks.together {
                try require("--steps", steps, in: 1...1_000_000)
                return try options.load()
            }
            let figures = try ranks.computing(configuration.parallel) {
                try ranks.together {
                    try requireMemory(
                        configuration, vocabulary: configuration.data.vocabulary, ranks: ranks.world.size,
                        movesWhileComputing: ranks.world.movesWhileComputing)
                    try configuration.requireTrainable(vocabulary: configuration.data.vocabulary, on: ranks.world)
                }
                return try StepBenchmark(configuration, steps: steps, profile: profile).measure(
                    ranks.world, host: ranks.host, threads: ranks.threads(configured: configuration.parallel.threadsPerRank),
                    display: ranks.isFirst ? ProgressDisplay() : nil,
                    writeTrace: { clock, path in try ranks.together { try ChromeTrace.write(clock, to: path, ranks.world) } })
            }
            if ranks.isFirst { print(json ? try JSONText.pretty(figures) : figures.text, terminator: "") }
            return .done
        }
        if status != .done { throw ExitCode(status.rawValue) }
    }
}
