import Collectives
import Foundation
import MPICollectives
import _TestSupport

/// Runs one suite of checks on every rank that mpirun started: `mpi-conformance collectives`.
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
    ]

    static func main() throws {
        let names = suites.keys.sorted().joined(separator: ", ")
        guard CommandLine.arguments.count == 2, let suite = suites[CommandLine.arguments[1]] else {
            FileHandle.standardError.write(Data("usage: mpi-conformance SUITE, which must be one of \(names)\n".utf8))
            exit(64)
        }
        guard MPIEnvironment.isLaunchedByMPI else {
            FileHandle.standardError.write(Data("mpi-conformance must be run under mpirun\n".utf8))
            exit(64)
        }
        try MPIEnvironment.run { environment in
            try suite(environment.world)
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
}
