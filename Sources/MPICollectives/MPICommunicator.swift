import CMPI
import Collectives

/// A communicator over MPI.
///
/// Sums are those of the MPI library, which for the same inputs on the same number of ranks are always the same; the order
/// of additions is its own, and differs from the simulated ranks'. Sizes that differ between ranks are not detected in
/// general: MPI reports a message longer than its buffer, and waits for one that never comes.
public final class MPICommunicator: Communicator {
    /// Bytes that go into one reduction. Measured with Open MPI 4.1, two ranks of a node and 32 MiB: whole 2.8 GB/s, in
    /// pieces of 1 MiB 8.0 (they stay in the cache); started without blocking, 1.4 and 3.4.
    private static let reductionBytes = 1 << 20

    public let rank: Int
    public let size: Int

    let comm: CMPI_Comm
    let session: MPISession
    /// The largest count given to MPI, whose counts and displacements are 32-bit. Tests lower it.
    let maximumCount: Int
    private let isOwned: Bool
    /// Reused by every exchange between ranks.
    private var requests: [CMPI_Request?] = []

    init(_ comm: CMPI_Comm, session: MPISession, isOwned: Bool, maximumCount: Int = Int(Int32.max)) throws {
        self.comm = comm
        self.session = session
        self.isOwned = isOwned
        self.maximumCount = maximumCount
        var number: Int32 = 0
        try session.check(CMPI_comm_rank(comm, &number), "rank")
        rank = Int(number)
        try session.check(CMPI_comm_size(comm, &number), "size")
        size = Int(number)
    }

    deinit {
        guard isOwned, !session.isFinalized else { return }
        session.requireUsable("free")
        // Nobody could act on an error here; the library frees what is left when it ends.
        _ = CMPI_comm_free(comm)
    }

    public func barrier() throws {
        try call("barrier") { CMPI_barrier(comm) }
    }

    public func broadcast<Element: CommunicableElement>(
        _ buffer: UnsafeMutableBufferPointer<Element>, root: Int
    ) throws {
        requireRoot(root)
        try forEachPiece(of: buffer, count: maximumCount) { start, count in
            try call("broadcast") { CMPI_broadcast(start, count, Element.mpiType, Int32(root), comm) }
        }
    }

    public func allReduce<Element: CommunicableElement>(
        _ buffer: UnsafeMutableBufferPointer<Element>, _ operation: ReductionOperation
    ) throws {
        try forEachPiece(of: buffer, count: reductionCount(Element.self)) { start, count in
            try call("allReduce") { CMPI_all_reduce(start, count, Element.mpiType, operation.mpiOperation, comm) }
        }
    }

    public func startAllReduce<Element: CommunicableElement>(
        _ buffer: UnsafeMutableBufferPointer<Element>, _ operation: ReductionOperation
    ) throws -> any PendingCollective {
        let pending = MPIPendingCollective("startAllReduce", on: self)
        try forEachPiece(of: buffer, count: reductionCount(Element.self)) { start, count in
            try pending.start { request in
                try call("startAllReduce") {
                    CMPI_start_all_reduce(start, count, Element.mpiType, operation.mpiOperation, comm, request)
                }
            }
        }
        return pending
    }

    public func allGather<Element: CommunicableElement>(
        _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>
    ) throws {
        requireGathered(sent.count, into: received.count)
        guard sent.count <= maximumCount else {
            return try broadcastEach(sent, into: received, counts: Array(repeating: sent.count, count: size))
        }
        try call("allGather") {
            CMPI_all_gather(sent.baseAddress, Int32(sent.count), Element.mpiType, received.baseAddress, comm)
        }
    }

    public func allGather<Element: CommunicableElement>(
        _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>, counts: [Int]
    ) throws {
        requireGathered(sent.count, into: received.count, counts: counts)
        guard received.count <= maximumCount else { return try broadcastEach(sent, into: received, counts: counts) }
        var begin: Int32 = 0
        let displacements = counts.map { count in
            defer { begin += Int32(count) }
            return begin
        }
        try call("allGather") {
            CMPI_all_gather_varying(
                sent.baseAddress, Int32(sent.count), Element.mpiType, received.baseAddress, counts.map(Int32.init),
                displacements, comm)
        }
    }

    public func allToAll<Element: CommunicableElement>(
        _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>
    ) throws {
        requireEqualPieces(sent.count, into: received.count)
        let count = sent.count / size
        guard count <= maximumCount else {
            let rows = Array(repeating: count, count: size)
            return try allToAll(rowWidth: 1, sent, sentRows: rows, into: received, receivedRows: rows)
        }
        try call("allToAll") {
            CMPI_all_to_all(sent.baseAddress, Int32(count), Element.mpiType, received.baseAddress, comm)
        }
    }

    /// Pairwise, each message as bytes. Measured with Open MPI 4.1 on one node, 1 KiB to 16 MiB a pair, it is as fast as
    /// MPI_Alltoallv (two ranks: 25 GB/s and 12 GB/s beyond the cache; four on two cores: 5), needs neither a row datatype
    /// nor 32-bit displacements, and leaves out the pairs that have no rows.
    public func allToAll<Element: CommunicableElement>(
        rowWidth: Int, _ sent: UnsafeBufferPointer<Element>, sentRuns: [RowRun],
        into received: UnsafeMutableBufferPointer<Element>, receivedRuns: [RowRun]
    ) throws {
        requireRuns(width: rowWidth, sent.count, sentRuns: sentRuns, into: received.count, receivedRuns: receivedRuns)
        session.requireUsable("allToAll rows")
        let rowBytes = rowWidth * MemoryLayout<Element>.stride
        requests.removeAll(keepingCapacity: true)
        // Each rank begins with another peer, so that no rank is everybody's first. Receives come first: what arrives
        // then finds its place at once. Messages between two ranks do not overtake each other: runs match in order.
        for step in 1..<size {
            let peer = (rank - step + size) % size
            for run in receivedRuns where run.peer == peer {
                try forEachMessage(run.count * rowBytes) { offset, bytes in
                    let place = UnsafeMutableRawPointer(received.baseAddress!) + run.row * rowBytes + offset
                    try start("allToAll rows") { CMPI_start_receive(place, bytes, Int32(peer), comm, $0) }
                }
            }
        }
        for step in 1..<size {
            let peer = (rank + step) % size
            for run in sentRuns where run.peer == peer {
                try forEachMessage(run.count * rowBytes) { offset, bytes in
                    let place = UnsafeRawPointer(sent.baseAddress!) + run.row * rowBytes + offset
                    try start("allToAll rows") { CMPI_start_send(place, bytes, Int32(peer), comm, $0) }
                }
            }
        }
        let ownSent = sentRuns.filter { $0.peer == rank && $0.count > 0 }
        let ownReceived = receivedRuns.filter { $0.peer == rank && $0.count > 0 }
        precondition(
            ownSent.map(\.count) == ownReceived.map(\.count),
            "allToAll: rank \(rank) sends itself \(ownSent.map(\.count)) rows, but expects \(ownReceived.map(\.count))")
        for (from, to) in zip(ownSent, ownReceived) where rowBytes > 0 {
            (UnsafeMutableRawPointer(received.baseAddress!) + to.row * rowBytes).copyMemory(
                from: UnsafeRawPointer(sent.baseAddress!) + from.row * rowBytes, byteCount: from.count * rowBytes)
        }
        try session.check(CMPI_wait_all(&requests, Int32(requests.count)), "allToAll rows")
    }

    public func split(color: Int, key: Int) throws -> any Communicator {
        precondition(color >= 0, "split: color must be at least 0, but is \(color)")
        return try make("split") { CMPI_comm_split(comm, Int32(color), Int32(key), &$0) }
    }

    public func duplicate() throws -> any Communicator {
        try make("duplicate") { CMPI_comm_duplicate(comm, &$0) }
    }

    /// The ranks that share this one's memory, in the order they have here.
    func splitByNode() throws -> MPICommunicator {
        try make("split by node") { CMPI_comm_split_shared(comm, Int32(rank), &$0) }
    }

    /// As `duplicate`, with smaller limits: what is beyond 2³¹ elements for others can be tested on this one.
    package func duplicate(maximumCount: Int) throws -> any Communicator {
        try make("duplicate", maximumCount: maximumCount) { CMPI_comm_duplicate(comm, &$0) }
    }

    private func make(
        _ operation: String, maximumCount: Int? = nil, _ body: (inout UnsafeMutableRawPointer?) -> Int32
    ) throws -> MPICommunicator {
        var made: UnsafeMutableRawPointer?
        try call(operation) { body(&made) }
        return try MPICommunicator(
            made!, session: session, isOwned: true, maximumCount: maximumCount ?? self.maximumCount)
    }

    /// Gathers beyond MPI's counts.
    private func broadcastEach<Element: CommunicableElement>(
        _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>, counts: [Int]
    ) throws {
        var begin = 0
        for (root, count) in counts.enumerated() {
            let piece = UnsafeMutableBufferPointer(rebasing: received[begin..<begin + count])
            if root == rank { _ = piece.update(from: sent) }
            try broadcast(piece, root: root)
            begin += count
        }
    }

    private func reductionCount<Element>(_ type: Element.Type) -> Int {
        min(Self.reductionBytes / MemoryLayout<Element>.stride, maximumCount)
    }

    private func call(_ operation: String, _ body: () -> Int32) throws {
        session.requireUsable(operation)
        try session.check(body(), operation)
    }

    private func start(_ operation: String, _ body: (UnsafeMutablePointer<CMPI_Request?>) -> Int32) throws {
        requests.append(nil)
        try session.check(body(&requests[requests.count - 1]), operation)
    }

    /// Every rank calls with as many elements as its peers, and so comes to the same pieces. An empty buffer has none.
    private func forEachPiece<Element>(
        of buffer: UnsafeMutableBufferPointer<Element>, count: Int,
        _ body: (UnsafeMutablePointer<Element>, Int32) throws -> Void
    ) rethrows {
        for begin in stride(from: 0, to: buffer.count, by: count) {
            try body(buffer.baseAddress! + begin, Int32(min(count, buffer.count - begin)))
        }
    }

    private func forEachMessage(_ bytes: Int, _ body: (_ offset: Int, _ bytes: Int32) throws -> Void) rethrows {
        for offset in stride(from: 0, to: bytes, by: maximumCount) {
            try body(offset, Int32(min(maximumCount, bytes - offset)))
        }
    }
}

extension CommunicableElement {
    fileprivate static var mpiType: CMPI_Type {
        switch elementType {
        case .float32: .float32
        case .float64: .float64
        case .int32: .int32
        case .int64: .int64
        case .uint8: .uInt8
        }
    }
}

extension ReductionOperation {
    fileprivate var mpiOperation: CMPI_Operation {
        switch self {
        case .sum: .sum
        case .maximum: .maximum
        case .minimum: .minimum
        }
    }
}
