import ArgumentParser
import Benchmarks
import Files
import MixtureOfExperts

/// `strata bench alltoall`: the dispatcher against a bare all-to-all of the same counts.
struct BenchAllToAllCommand: ParsableCommand, RunsOnRanks {
    static let configuration = CommandConfiguration(
        commandName: "alltoall",
        abstract: "The dispatcher's way to the experts and back against a bare row exchange of the same counts.",
        discussion: """
            The dispatcher also exchanges counts and sorts rows by expert. Run it under mpirun.

            Example:
              mpirun -n 2 strata bench alltoall
              strata bench alltoall --simulate-ranks 2 --json
              mpirun -n 2 strata bench alltoall --wire bfloat16
            """)

    @Option(parsing: .unconditional, help: ArgumentHelp("Width of a row.", valueName: "n"))
    var dim = 512

    @Option(parsing: .unconditional, help: ArgumentHelp("Repetitions of which the median counts.", valueName: "n"))
    var repetitions = 9

    @Option(
        help: ArgumentHelp(
            "What the dispatcher's rows are rounded to: \(WireFormat.allCases.map(\.rawValue).joined(separator: ", ")).",
            valueName: "format"))
    var wire = WireFormat.float32.rawValue

    @Option(parsing: .unconditional, help: ArgumentHelp("Run this many ranks as threads of one process.", valueName: "n"))
    var simulateRanks: Int?

    @Flag(help: .json)
    var json = false

    func run() throws {
        let status = try RankWorld.run(simulatedRanks: simulateRanks) { ranks in
            try ranks.together {
                try require("--dim", dim, in: 1...65_536)
                try require("--repetitions", repetitions, in: 1...1_000_000)
            }
            let format = try ranks.together { try wireFormat() }
            let figures = try AllToAllBenchmark(dim: dim, repetitions: repetitions, wire: format).measure(ranks.world)
            if ranks.isFirst {
                print(json ? try JSONText.pretty(figures) : AllToAllBenchmark.text(figures), terminator: "")
            }
            return .done
        }
        if status != .done { throw ExitCode(status.rawValue) }
    }

    private func wireFormat() throws -> WireFormat {
        guard let format = WireFormat(rawValue: wire) else {
            let names = WireFormat.allCases.map(\.rawValue).joined(separator: " or ")
            throw CommandFailure(.usage, "--wire must be \(names), but is '\(wire)'")
        }
        return format
    }
}
