import ArgumentParser
import Collectives
import Files
import Foundation
import MixtureOfExperts
import Reporting
import TensorCore

/// `strata bench alltoall`: the dispatcher against a bare all-to-all of the same counts.
struct AllToAllBenchmark: ParsableCommand, RunsOnRanks {
    static let configuration = CommandConfiguration(
        commandName: "alltoall",
        abstract: "The dispatcher's way to the experts and back against a bare row exchange of the same counts.",
        discussion: """
            The dispatcher also exchanges counts and sorts rows by expert. Run it under mpirun.

            Example:
              mpirun -n 2 strata bench alltoall
              strata bench alltoall --simulate-ranks 2 --json
            """)

    @Option(help: ArgumentHelp("Width of a row.", valueName: "n"))
    var dim = 512

    @Option(help: ArgumentHelp("Repetitions of which the median counts.", valueName: "n"))
    var repetitions = 9

    @Option(help: ArgumentHelp("Run this many ranks as threads of one process.", valueName: "n"))
    var simulateRanks: Int?

    @Flag(help: .json)
    var json = false

    private struct Figures: Encodable {
        let mebibytes: Double
        let dispatcherMilliseconds: Double
        let bareMilliseconds: Double
        let ratio: Double

        enum CodingKeys: String, CodingKey {
            case ratio
            case mebibytes = "mebibytes_a_rank"
            case dispatcherMilliseconds = "dispatcher_ms"
            case bareMilliseconds = "bare_ms"
        }
    }

    func run() throws {
        let status = try RankWorld.run(simulatedRanks: simulateRanks) { ranks in
            try ranks.together {
                try require("--dim", dim, in: 1...65_536)
                try require("--repetitions", repetitions, in: 1...1_000_000)
            }
            let figures = try [1 << 18, 1 << 20, 1 << 22, 1 << 24].map { try measure($0, ranks) }
            guard ranks.isFirst else { return .done }
            if json {
                print(try JSONText.pretty(figures), terminator: "")
            } else {
                print(
                    Table(
                        header: ["MiB a rank", "dispatcher ms", "bare ms", "ratio"],
                        rows: figures.map {
                            [
                                NumberText.decimal($0.mebibytes, 2), NumberText.decimal($0.dispatcherMilliseconds, 3),
                                NumberText.decimal($0.bareMilliseconds, 3), NumberText.decimal($0.ratio, 2),
                            ]
                        }
                    ).text, terminator: "")
            }
            return .done
        }
        if status != .done { throw ExitCode(status.rawValue) }
    }

    /// Top-1 routing of `bytes` of rows a rank, evenly to two experts a rank.
    private func measure(_ bytes: Int, _ ranks: RankWorld) throws -> Figures {
        let context = ComputeContext(threads: 1), rows = max(1, bytes / (dim * 4)), places = ranks.world.size
        let placement = ExpertPlacement(strata: [2 * places], places: places)
        let dispatcher = AllToAllTokenDispatcher(communicator: ranks.world, placement: placement)
        let scores = context.zeros(rows, placement.experts)
        for row in 0..<rows { scores[row, row % placement.experts] = 4 }
        let router = StratifiedRouter(topK: 1, capacityFactor: nil, secondExpert: .best, normalization: .never)
        let decision = router.route(
            scores: scores, visible: 0..<placement.experts, rows: (0..<rows).map { Int32($0) }, key: RandomKey(seed: 1))
        let x = context.zeros(rows, dim)
        let plan = try dispatcher.plan(context, decision)
        let received = context.zeros(plan.rowsReceived, dim), returned = context.zeros(rows, dim)
        var dispatcherTimes: [Double] = [], bareTimes: [Double] = []
        for _ in 0...repetitions {
            try ranks.world.barrier()
            dispatcherTimes.append(
                try Stopwatch.seconds {
                    let plan = try dispatcher.plan(context, decision)
                    let there = try dispatcher.toExperts(context, x, plan)
                    _ = try dispatcher.toTokens(context, there, plan)
                })
            try ranks.world.barrier()
            bareTimes.append(
                try Stopwatch.seconds {
                    try ranks.world.allToAll(
                        rowWidth: dim, UnsafeBufferPointer(x.buffer), sentRows: plan.sentRows, into: received.buffer,
                        receivedRows: plan.receivedRows)
                    try ranks.world.allToAll(
                        rowWidth: dim, UnsafeBufferPointer(received.buffer), sentRows: plan.receivedRows, into: returned.buffer,
                        receivedRows: plan.sentRows)
                })
        }
        let own = Stopwatch.median(Array(dispatcherTimes.dropFirst())), bare = Stopwatch.median(Array(bareTimes.dropFirst()))
        return Figures(
            mebibytes: Double(rows * dim * 4) / 1_048_576, dispatcherMilliseconds: own * 1e3, bareMilliseconds: bare * 1e3,
            ratio: own / bare)
    }
}
