import CMPI
import Collectives
import Glibc
import Synchronization

/// What all communicators of a process share: who may call MPI, whether it still may be called, how errors are told, and the
/// operations under way.
///
/// MPI was asked for MPI_THREAD_FUNNELED: only the thread that initialised it may call it. That is also the thread that
/// computes, unless there is a service: then others do, one at a time, and the service calls MPI for them.
final class MPISession {
    let rank: Int
    /// Memory for what peers contribute to reductions.
    let staging = StagingPool()
    private let owner = pthread_self()
    private(set) var isFinalized = false
    private var requests = MPIRequests()
    /// What the main thread does while another computes; nil: it computes itself.
    private var service: MPIService?
    /// The first error of an operation under way. After it none can be waited for.
    private(set) var failure: (any Error)?
    private let hasFailed = Atomic<Bool>(false)
    /// How often the service has looked after what is under way.
    let looks = Atomic<Int>(0)

    init(rank: Int) { self.rank = rank }

    var isServed: Bool { service != nil }
    private var isOwner: Bool { pthread_equal(owner, pthread_self()) != 0 }

    func requireUsable(_ operation: String) {
        precondition(
            isOwner || isServed,
            "\(operation): communicators are the main thread's, or those of the threads that compute in turns while it serves")
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

    /// Runs `body`, which calls MPI, on the main thread.
    func call<Value>(_ operation: String, _ body: () throws -> Value) throws -> Value {
        requireUsable(operation)
        guard let service, !isOwner else { return try body() }
        var value: Value?
        try service.request {
            value = try body()
            return nil
        }
        return value!
    }

    /// Blocks until the operation that `start` gives, on the main thread, is complete.
    ///
    /// Operations have several steps, and Open MPI knows of none but the present one: unless a rank that waits for one thing
    /// takes the next steps of all others, its peers wait for it.
    func complete(_ operation: String, _ start: () throws -> MPIOperation) throws {
        requireUsable(operation)
        if let service, !isOwner { return try service.request(start) }
        let operation = try start()
        while !operation.isOver { try advance(waiting: true) }
    }

    /// Whether the operation is complete. Where nobody else advances it, does what can be done without blocking.
    func poll(_ operation: MPIOperation) throws -> Bool {
        requireUsable(operation.name)
        if hasFailed.load(ordering: .acquiring) { throw failure! }
        if service == nil, isBusy { try advance(waiting: false) }
        return operation.isOver
    }

    /// Does what can be done of all operations, and waits until there is something, if asked to. Whether there was something.
    @discardableResult
    func advance(waiting: Bool) throws -> Bool {
        if let failure { throw failure }
        do {
            let complete = try requests.takeComplete(waiting: waiting) { try check($0, waiting ? "wait" : "test") }
            for operation in complete { try operation.requestIsComplete() }
            return !complete.isEmpty
        } catch {
            failure = error
            hasFailed.store(true, ordering: .releasing)
            throw error
        }
    }

    /// Whether anything is under way.
    var isBusy: Bool { !requests.isEmpty }

    func start(of operation: MPIOperation, _ body: (UnsafeMutablePointer<CMPI_Request?>) -> Int32) throws {
        try check(requests.start(of: operation, body), operation.name)
    }

    /// Runs `body` on a thread of its own, while this one, the main thread, serves it.
    func serve<Value>(_ body: () throws -> Value) throws -> Value {
        requireUsable("serve")
        precondition(isOwner && service == nil, "serve: one thread computes at a time")
        let service = MPIService(self)
        self.service = service
        defer { self.service = nil }
        return try service.run(body)
    }

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
