import Checkpoints
import Collectives
import Foundation
import MPICollectives
import TensorCore
import Training

/// The ranks that a command runs on: those of mpirun, simulated ones, or this process alone.
struct RankWorld {
    let world: any Communicator
    /// Ranks that run on the same processors as this one, itself included.
    let sharing: Int
    /// The name of the machine that this rank is on.
    let host: String
    /// MPI, where mpirun started the ranks.
    private(set) var environment: MPIEnvironment?

    var isFirst: Bool { world.rank == 0 }

    /// Runs `body` on every rank; returns what it returned on the first. Errors that all ranks share are printed once.
    static func run(simulatedRanks: Int? = nil, _ body: @Sendable (RankWorld) throws -> ExitStatus) throws -> ExitStatus {
        if MPIEnvironment.isLaunchedByMPI {
            return try MPIEnvironment.run(exitCode: { ExitStatus(for: $0).rawValue }) { environment in
                let world = environment.world, sharing = try Processors.sharing(world, host: environment.processorName)
                let ranks = RankWorld(
                    world: world, sharing: sharing, host: environment.processorName, environment: environment)
                return try shared(ranks) { ranks in
                    // Said within MPI: a process that ended before would take the others down before they can speak.
                    try ranks.together {
                        guard simulatedRanks == nil else {
                            throw CommandFailure(.usage, "--simulate-ranks is for one process alone: leave it out under mpirun")
                        }
                    }
                    return try body(ranks)
                }
            }
        }
        let ranks = simulatedRanks ?? 1
        guard (1...256).contains(ranks) else {
            throw CommandFailure(.usage, "--simulate-ranks must be 1 to 256, but is \(ranks)")
        }
        return try simulated(ranks) { try shared($0, body) }
    }

    /// Runs `body` on ranks that are threads of this process; returns what it returned on the first.
    static func simulated<Value: Sendable>(_ ranks: Int, _ body: @Sendable (RankWorld) throws -> Value) throws -> Value {
        let host = ProcessInfo.processInfo.hostName
        return try SimulatedCluster.run(ranks: ranks) {
            try body(RankWorld(world: $0, sharing: ranks, host: host))
        }[0]
    }

    /// For what every rank finds before it has a world: runs `body` on all, silent on all but the first. Nobody ends before
    /// the first has spoken.
    static func saidOnce(_ body: (_ isSilent: Bool) -> ExitStatus) -> ExitStatus {
        guard MPIEnvironment.isLaunchedByMPI else { return body(false) }
        do {
            return try MPIEnvironment.run { body($0.world.rank != 0) }
        } catch {
            return body(false)
        }
    }

    /// An error that `together` has already shown ends the command with its status and no further word. One that every rank
    /// throws at the same point is shown by the first.
    private static func shared(_ ranks: RankWorld, _ body: (RankWorld) throws -> ExitStatus) throws -> ExitStatus {
        do {
            return try body(ranks)
        } catch let failure as SharedFailure {
            return failure.status
        } catch let error where isThrownByAll(error) {
            if ranks.isFirst { show(error) }
            return ExitStatus(for: error)
        }
    }

    private static func isThrownByAll(_ error: any Error) -> Bool {
        if case .notWritten? = error as? CheckpointError { return true }
        return error is TrainingError
    }

    private static func show(_ error: any Error) {
        FileHandle.standardError.write(Data(errorText(for: error).utf8))
    }

    private struct SharedFailure: Error {
        let status: ExitStatus
    }

    /// Runs one rank's part of something that succeeds on all ranks or on none. If it failed anywhere, the lowest such rank prints
    /// its error, and the command ends on every rank, in order, with that error's status. What can fail on one rank alone
    /// must not be followed by a collective within the same `body`.
    func together<Value>(_ body: () throws -> Value) throws -> Value {
        let outcome = Result { try body() }
        var failed = Int64.max, status: Int32 = 0
        if case let .failure(error) = outcome {
            failed = Int64(world.rank)
            status = ExitStatus(for: error).rawValue
        }
        let lowest = try world.allReduce(failed, .minimum)
        guard lowest != .max else { return try outcome.get() }
        status = try world.broadcast(status, root: Int(lowest))
        if case let .failure(error) = outcome, world.rank == Int(lowest) { Self.show(error) }
        throw SharedFailure(status: ExitStatus(rawValue: status) ?? .internal)
    }

    /// A communicator of this rank alone.
    func alone() throws -> any Communicator { try world.split(color: world.rank, key: 0) }

    /// The worker threads of this rank: as configured, or its share of the processors that it may run on.
    func threads(configured: Int?) -> Int {
        configured ?? max(1, Processors.available / sharing)
    }
}
