import ArgumentParser
import Benchmarks
import Files
import MixtureOfExperts

/// `strata bench alltoall`: the dispatcher against a bare all-to-all of the same counts.
struct BenchAllToAllCommand: ParsableCommand, RunsOnRanks {
    static let configuration = CommandConfiguration(
        commandName: "alltoall",
        abstract: "The dispatcher's ways to the experts and back against a bare row exchange.",
        discussion: """
            Forward and backward. The bare exchange sends a row of floats for each choice of a token. \
            The dispatcher also exchanges counts and sorts rows by expert; a row that several experts of one rank want \
            it sends once, and with --host-relay a row that several ranks of another host want. Run it under mpirun.

            Example:
              mpirun -n 2 strata bench alltoall
              strata bench alltoall --simulate-ranks 2 --json
              mpirun -n 2 strata bench alltoall --top-k 2 --experts 4
              mpirun -n 2 strata bench alltoall --wire bfloat16
              launch/run.sh --hostfile h -n 8 -- bench alltoall --top-k 2 --host-relay
            """)

    @Option(parsing: .unconditional, help: ArgumentHelp("Width of a row.", valueName: "n"))
    var dim = 512

    @Option(
        name: .customLong("top-k"), parsing: .unconditional,
        help: ArgumentHelp("Experts that a token chooses, drawn where it is not 1.", valueName: "n"))
    var topK = 1

    @Option(parsing: .unconditional, help: ArgumentHelp("Experts of a rank.", valueName: "n"))
    var experts = 2

    @Option(parsing: .unconditional, help: ArgumentHelp("Repetitions of which the median counts.", valueName: "n"))
    var repetitions = 9

    @Option(
        help: ArgumentHelp(
            "What the dispatcher's rows are rounded to: \(WireFormat.allCases.map(\.rawValue).joined(separator: ", ")).",
            valueName: "format"))
    var wire = WireFormat.float32.rawValue

    @Flag(help: "Send a row once to each other host that wants it, to be passed on there.")
    var hostRelay = false

    @Option(parsing: .unconditional, help: ArgumentHelp("Run this many ranks as threads of one process.", valueName: "n"))
    var simulateRanks: Int?

    @Flag(help: .json)
    var json = false

    func run() throws {
        let status = try RankWorld.run(simulatedRanks: simulateRanks) { ranks in
            try ranks.together {
                try require("--dim", dim, in: 1...65_536)
                try require("--experts", experts, in: 1...1024)
                try require("--top-k", topK, in: 1...experts * ranks.world.size)
                try require("--repetitions", repetitions, in: 1...1_000_000)
            }
            let format = try ranks.together { try wireFormat() }
            let hosts = try hostRelay ? PlaceHosts(of: ranks.world, host: ranks.host) : nil
            try ranks.together {
                guard hosts?.canPassOn ?? true else {
                    throw CommandFailure(
                        .usage,
                        "--host-relay needs several hosts, of which one has several ranks and none more than "
                            + "\(PlaceHosts.mostPlaces): start ranks with a hostfile, or leave it out")
                }
            }
            let figures = try AllToAllBenchmark(
                dim: dim, topK: topK, expertsPerRank: experts, repetitions: repetitions, wire: format, passingOnWithin: hosts
            ).measure(ranks.world)
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
