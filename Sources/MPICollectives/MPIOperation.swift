import CMPI
import Collectives
import Synchronization

/// An operation of this rank that is under way: requests of the library and, where it has several steps, what is done between
/// them, of which the library knows nothing.
///
/// The main thread starts and advances it; whoever computes polls it, or waits for it.
class MPIOperation: PendingCollective {
    let name: String
    /// Keeps the communicator alive, and with it the handle.
    let communicator: MPICommunicator
    /// Requests that are not complete.
    private var requests = 0
    private let over = Atomic<Bool>(false)

    init(_ name: String, on communicator: MPICommunicator) {
        self.name = name
        self.communicator = communicator
    }

    final var session: MPISession { communicator.session }
    /// Whether it is complete: what it received can be read.
    final var isOver: Bool { over.load(ordering: .acquiring) }

    /// Adds a request.
    final func start(_ body: (UnsafeMutablePointer<CMPI_Request?>) -> Int32) throws {
        requests += 1
        try session.start(of: self, body)
    }

    /// Makes the first requests.
    final func begin(_ start: () throws -> Void) throws {
        try start()
        try goOn()
    }

    /// One of its requests is complete.
    final func requestIsComplete() throws {
        requests -= 1
        try goOn()
    }

    /// What is to be done when all requests are complete: true if that was not the last step.
    func next() throws -> Bool { false }

    private func goOn() throws {
        while requests == 0, !isOver {
            if try !next() { over.store(true, ordering: .releasing) }
        }
    }

    final func poll() throws -> Bool { try session.poll(self) }

    final func wait() throws { try session.complete(name) { self } }
}
