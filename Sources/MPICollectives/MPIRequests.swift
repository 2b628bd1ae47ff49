import CMPI

/// Requests of the MPI library that are under way, each with the operation that it is of.
///
/// The library keeps writing to their buffers until they are complete, even if this value is gone: an error that leaves some
/// behind must end in `MPIEnvironment.abort`.
struct MPIRequests {
    private var handles: [CMPI_Request?] = []
    private var owners: [MPIOperation] = []
    private var indices: [Int32] = []

    var isEmpty: Bool { handles.isEmpty }

    /// Adds the request that `body` makes, unless it fails, and returns MPI's error code.
    mutating func start(of operation: MPIOperation, _ body: (UnsafeMutablePointer<CMPI_Request?>) -> Int32) -> Int32 {
        var handle: CMPI_Request?
        let code = body(&handle)
        guard code == CMPI_success else { return code }
        handles.append(handle)
        owners.append(operation)
        return code
    }

    /// Removes requests that are complete, and returns their operations, an operation for each of its requests. Waits until there is
    /// one, if asked to. There must be requests.
    mutating func takeComplete(waiting: Bool, _ check: (Int32) throws -> Void) throws -> [MPIOperation] {
        indices = Array(repeating: 0, count: handles.count)
        var complete: Int32 = 0
        let count = Int32(handles.count)
        try check(
            waiting
                ? CMPI_wait_some(&handles, count, &complete, &indices) : CMPI_test_some(&handles, count, &complete, &indices))
        guard complete > 0 else { return [] }
        let places = indices[..<Int(complete)].map(Int.init).sorted(), taken = places.map { owners[$0] }
        for place in places.reversed() {
            handles.remove(at: place)
            owners.remove(at: place)
        }
        return taken
    }
}
