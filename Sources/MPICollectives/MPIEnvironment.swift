import CMPI
import Collectives
import Glibc

/// MPI, from its initialisation to its end. A process has one, on its main thread, once.
///
/// MPI_Finalize waits for every rank: after a failure on one rank alone it would wait for ever. `run` therefore ends all
/// ranks when its body throws; code that makes an environment itself calls `abort` where it cannot go on.
///
/// The main thread must not be that of an `async` main: after its first suspension MPI no longer knows it.
public final class MPIEnvironment {
    /// Whether a launcher (mpirun, or srun with PMI or PMIx) started this process. Says so without initialising MPI: a
    /// command that was started by hand is not to depend on a working MPI.
    public static var isLaunchedByMPI: Bool {
        let variables: [String] = ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE"]
        return variables.contains { getenv($0) != nil }
    }

    /// The number of ranks that were started together, as the launcher's variables say it, without initialising MPI; 1 where
    /// they do not.
    public static var launchedRanks: Int {
        guard isLaunchedByMPI else { return 1 }
        let variables: [String] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"]
        return variables.lazy.compactMap { getenv($0).flatMap { Int(String(cString: $0)) } }.first ?? 1
    }

    /// All ranks that were started together.
    public let world: MPICommunicator
    /// The node's name, as MPI gives it.
    public let processorName: String

    private let session: MPISession

    /// Initialises MPI.
    /// - Throws: `CollectiveError.transport` if MPI is in use already, or does not support calls from a main thread
    ///   among others.
    public init() throws {
        var flag: Int32 = 0
        func check(_ code: Int32) throws {
            guard code != CMPI_success else { return }
            throw CollectiveError.transport(operation: "initialize", rank: 0, detail: MPISession.text(of: code))
        }
        try check(CMPI_initialized(&flag))
        guard flag == 0 else {
            throw CollectiveError.transport(
                operation: "initialize", rank: 0, detail: "MPI has been initialised already; keep one MPIEnvironment")
        }
        Self.preferTwoLinks()
        var provided: Int32 = 0
        try check(CMPI_init(&provided))
        let comm = CMPI_comm_world()
        try check(CMPI_comm_return_errors(comm))
        var rank: Int32 = 0
        try check(CMPI_comm_rank(comm, &rank))
        session = MPISession(rank: Int(rank))
        guard provided >= CMPI_thread_funneled else {
            throw CollectiveError.transport(
                operation: "initialize", rank: Int(rank),
                detail: "thread support must be at least MPI_THREAD_FUNNELED, but this MPI library provides less; "
                    + "use one that was built with thread support")
        }
        try session.check(CMPI_is_thread_main(&flag), "initialize")
        precondition(flag != 0, "MPI must be initialised on the main thread")
        world = try MPICommunicator(comm, session: session, isOwned: false)
        processorName = try MPISession.text { [session] in try session.check(CMPI_processor_name($0, $1), "processor name") }
    }

    /// Two TCP connections between each two ranks, unless the user has said how many. With one, Open MPI's small messages that ask for
    /// the next piece of a long one queue behind the pieces of another that goes the other way: where both directions were busy,
    /// Open MPI 4.1 had half the speed of a link of 100 Mbit/s, and three quarters of one of 1 Gbit/s.
    private static func preferTwoLinks() { setenv("OMPI_MCA_btl_tcp_links", "2", 0) }

    deinit { try? session.finalize() }

    /// Ends the use of MPI; waits for all ranks. Communicators cannot be used afterwards.
    public func finalize() throws { try session.finalize() }

    /// Runs `body` on a thread of its own, which alone uses communicators meanwhile. This thread, the main one, calls MPI for
    /// it, and moves what is under way while `body` computes; with nothing under way it sleeps.
    /// - Throws: What `body` throws; `CollectiveError.transport` if the system refuses a thread.
    public func serve<Value>(_ body: () throws -> Value) throws -> Value {
        try session.serve(body)
    }

    /// How often a serving main thread has looked after what is under way: it does not while nothing is.
    package var looks: Int { session.looks.load(ordering: .relaxed) }

    /// Ends all ranks at once with this exit code.
    public func abort(code: Int32) -> Never {
        fflush(nil)
        CMPI_abort(code)
    }

    /// Runs `body` between initialisation and end of MPI. If it throws, the error is written to standard error with this
    /// rank's number, and all ranks end at once with the exit code `exitCode` gives.
    public static func run<Value>(
        exitCode: (any Error) -> Int32 = { _ in 70 }, _ body: (MPIEnvironment) throws -> Value
    ) throws -> Value {
        let environment = try MPIEnvironment()
        let value: Value
        do {
            value = try body(environment)
        } catch {
            let text = "rank \(environment.world.rank) on \(environment.processorName): error: \(error)\n"
            text.withCString { _ = write(STDERR_FILENO, $0, strlen($0)) }
            environment.abort(code: exitCode(error))
        }
        try environment.finalize()
        return value
    }
}
