import CMPI
import Collectives
import Glibc

/// What all communicators of a process share: who may call MPI, whether it still may be called, how errors are told, and the
/// reductions under way.
final class MPISession {
    let rank: Int
    /// Memory for what peers contribute to reductions.
    let staging = StagingPool()
    private let owner = pthread_self()
    private(set) var isFinalized = false
    private var reductions: [MPIPendingReduction] = []

    init(rank: Int) { self.rank = rank }

    /// MPI was asked for MPI_THREAD_FUNNELED: only the thread that initialised it may call it.
    func requireUsable(_ operation: String) {
        precondition(pthread_equal(owner, pthread_self()) != 0, "\(operation): only the main thread may call MPI")
        precondition(!isFinalized, "\(operation): MPI has been finalised")
    }

    func check(_ code: Int32, _ operation: String) throws {
        guard code != CMPI_success else { return }
        throw CollectiveError.transport(operation: operation, rank: rank, detail: MPISession.text(of: code))
    }

    func finalize() throws {
        guard !isFinalized else { return }
        requireUsable("finalize")
        isFinalized = true
        try check(CMPI_finalize(), "finalize")
    }

    /// Reductions consist of several steps, and Open MPI knows of none but the present one: unless a rank that waits for
    /// something else takes the next, its peers wait for it.
    func advanceReductions() throws {
        for reduction in reductions { _ = try reduction.advance() }
    }

    var isReducing: Bool { !reductions.isEmpty }

    func begin(_ reduction: MPIPendingReduction) { reductions.append(reduction) }

    func end(_ reduction: MPIPendingReduction) { reductions.removeAll { $0 === reduction } }

    static func text(of code: Int32) -> String {
        text { CMPI_error_string(code, $0, $1) }
    }

    static func text(_ write: (UnsafeMutablePointer<CChar>, Int) throws -> Void) rethrows -> String {
        let capacity = 1024
        return try withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity) {
            try write($0.baseAddress!, capacity)
            return String(cString: $0.baseAddress!)
        }
    }
}
