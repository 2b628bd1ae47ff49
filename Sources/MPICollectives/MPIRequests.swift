import CMPI

/// Operations of the MPI library that are under way. Whoever waits for some advances the session's reductions meanwhile.
///
/// The library keeps writing to their buffers until they are complete, even if this value is gone: an error that leaves some
/// behind must end in `MPIEnvironment.abort`.
struct MPIRequests {
    private var handles: [CMPI_Request?] = []

    mutating func start(
        _ session: MPISession, _ operation: String, _ body: (UnsafeMutablePointer<CMPI_Request?>) -> Int32
    ) throws {
        handles.append(nil)
        try session.check(body(&handles[handles.count - 1]), operation)
    }

    /// Whether all are complete.
    mutating func test(_ session: MPISession, _ operation: String) throws -> Bool {
        if handles.isEmpty { return true }
        var complete: Int32 = 0
        try session.check(CMPI_test_all(&handles, Int32(handles.count), &complete), operation)
        guard complete != 0 else { return false }
        handles.removeAll(keepingCapacity: true)
        return true
    }

    mutating func wait(_ session: MPISession, _ operation: String) throws {
        while session.isReducing {
            if try test(session, operation) { return }
            try session.advanceReductions()
        }
        try session.check(CMPI_wait_all(&handles, Int32(handles.count)), operation)
        handles.removeAll(keepingCapacity: true)
    }
}
