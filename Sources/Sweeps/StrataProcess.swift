import Foundation

/// Starts this program again, with other arguments, alone or under mpirun.
public struct StrataProcess {
    /// The status of a command that has stopped where it can be resumed.
    package static let resumableStatus: Int32 = 75

    /// Ranks of a command, and commands at a time.
    let ranks: Int
    let parallel: Int

    /// Runs on all ranks; see `ChildProcess`.
    func start(_ arguments: [String], output: String, log: String) throws -> ChildProcess {
        guard ranks > 1 else { return try Self.startAlone(arguments, output: output, log: log) }
        // Not bound: several jobs at a time would be bound to the same cores.
        var mpirun = ["mpirun", "--bind-to", "none", "-n", "\(ranks)"]
        if ranks * parallel > ProcessInfo.processInfo.activeProcessorCount { mpirun.append("--oversubscribe") }
        // Containers run as root; Open MPI wants to be told that this is meant.
        let root = ["OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"]
        return try ChildProcess(
            mpirun + [Self.executable] + arguments, output: output, log: log, environment: getuid() == 0 ? root : [:])
    }

    public static func startAlone(_ arguments: [String], output: String, log: String) throws -> ChildProcess {
        try ChildProcess([executable] + arguments, output: output, log: log)
    }

    private static var executable: String { Bundle.main.executablePath ?? CommandLine.arguments[0] }
}
