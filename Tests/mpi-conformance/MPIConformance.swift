import Collectives
import Foundation
import MPICollectives
import _TestSupport

/// Runs one suite of checks on every rank that mpirun started: `mpi-conformance collectives`, and with `served` on a thread that
/// the main one serves.
///
/// Rank 0 ends with the line "conformance passed". A rank that throws ends all ranks with a non-zero exit status.
@main
enum MPIConformance {
    typealias Suite = @Sendable (any Communicator) throws -> Void

    /// The suites by name. Whatever is to hold under MPI as it does on simulated ranks gets an entry.
    static let suites: [String: Suite] = [
        "collectives": CollectiveConformance.run,
        "small-counts": smallCounts,
        "failing-rank": failingRank,
        "token-dispatch": DispatchConformance.run,
        "stopped-rank": stoppedRank,
    ]

    static func main() throws {
        let names = (suites.keys + ["idle"]).sorted().joined(separator: ", ")
        let arguments = CommandLine.arguments.dropFirst(), isServed = arguments.dropFirst() == ["served"]
        guard let name = arguments.first, name == "idle" || suites[name] != nil, arguments.count == (isServed ? 2 : 1) else {
            FileHandle.standardError.write(
                Data("usage: mpi-conformance SUITE [served], where SUITE must be one of \(names)\n".utf8))
            exit(64)
        }
        guard MPIEnvironment.isLaunchedByMPI else {
            FileHandle.standardError.write(Data("mpi-conformance must be run under mpirun\n".utf8))
            exit(64)
        }
        try run(name, isServed: isServed)
    }

    /// Not of the main actor, as `main` is: the suite may run on another thread.
    nonisolated private static func run(_ name: String, isServed: Bool) throws {
        try MPIEnvironment.run { environment in
            func check() throws { try suites[name].map { try $0(environment.world) } ?? idle(environment) }
            if isServed { try environment.serve(check) } else { try check() }
            try environment.world.barrier()
            guard environment.world.rank == 0 else { return }
            print("\(environment.world.size) ranks")
            print("conformance passed")
        }
    }

    /// Operations on more elements than MPI's counts can say, with counts that can say little.
    private static func smallCounts(_ world: any Communicator) throws {
        let limited = try (world as! MPICommunicator).duplicate(maximumCount: 10)
        let names: Set = ["broadcast", "allReduce", "reduceScatter", "allGather", "allToAll", "row allToAll", "values"]
        for check in CollectiveConformance.checks where names.contains(check.name) { try check.run(limited) }
    }

    /// The last rank fails while the others wait for it.
    private static func failingRank(_ world: any Communicator) throws {
        if world.rank == world.size - 1 {
            throw CollectiveError.transport(operation: "reading", rank: world.rank, detail: "a fault of this rank alone")
        }
        try world.barrier()
    }

    /// A main thread that serves looks after what is under way, and not when nothing is.
    private static func idle(_ environment: MPIEnvironment) throws {
        let world = environment.world
        var sums = [Float](repeating: 1, count: 300_000)
        try sums.withUnsafeMutableBufferPointer {
            let pending = try world.startAllReduce($0, .sum)
            // The reduction is completed by the main thread alone.
            while try !pending.poll() { usleep(1000) }
        }
        try expect(sums, .init(repeating: Float(world.size), count: sums.count), "the sums")
        let before = environment.looks
        guard before > 0 else { throw ConformanceFailure("the main thread must have looked after the reduction") }
        usleep(300_000)
        try expect(environment.looks, before, "looks while nothing is under way")
    }

    /// The last rank stops for good before it enters a collective, in which a watchdog finds the others waiting.
    private static func stoppedRank(_ world: any Communicator) throws {
        final class Board: RankBoard {
            func post(_ report: RankReport) {}
            func report(of rank: Int) -> RankReport? { nil }
        }
        let watchdog = try Watchdog(
            world, host: "here", board: Board(), limits: .init(report: 0.2, giveUp: 0.5),
            say: { FileHandle.standardError.write(Data("watchdog: \($0)\n".utf8)) }, giveUp: { _exit(71) })
        if world.rank == world.size - 1 { while true { sleep(1000) } }
        var sums = [Float](repeating: 1, count: 100_000)
        try sums.withUnsafeMutableBufferPointer { try watchdog.world.startAllReduce($0, .sum).wait() }
    }
}
