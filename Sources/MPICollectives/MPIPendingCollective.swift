import CMPI
import Collectives

/// MPI operations under way: one, or the pieces of a large one.
///
/// The library keeps writing to the buffer until the operation is complete, even if this object is gone: an error that
/// leaves one behind must end in `MPIEnvironment.abort`.
final class MPIPendingCollective: PendingCollective {
    private let operation: String
    /// Keeps the communicator alive, and with it the handle.
    private let communicator: MPICommunicator
    private var requests: [CMPI_Request?] = []

    init(_ operation: String, on communicator: MPICommunicator) {
        self.operation = operation
        self.communicator = communicator
    }

    func start(_ body: (UnsafeMutablePointer<CMPI_Request?>) throws -> Void) rethrows {
        requests.append(nil)
        try body(&requests[requests.count - 1])
    }

    func poll() throws -> Bool {
        communicator.session.requireUsable(operation)
        if requests.isEmpty { return true }
        var complete: Int32 = 0
        try check(CMPI_test_all(&requests, Int32(requests.count), &complete))
        if complete != 0 { requests = [] }
        return complete != 0
    }

    func wait() throws {
        communicator.session.requireUsable(operation)
        try check(CMPI_wait_all(&requests, Int32(requests.count)))
        requests = []
    }

    private func check(_ code: Int32) throws { try communicator.session.check(code, operation) }
}
