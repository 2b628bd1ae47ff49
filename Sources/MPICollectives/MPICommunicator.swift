import CMPI
import Collectives

/// A communicator over MPI.
///
/// Reductions and exchanges are messages between each two ranks. MPI's own reductions add in an order that depends on its
/// algorithm, and those that do not block are slower: measured in turn with Open MPI 4.1, two ranks of a node and eight under
/// way, MPI_Iallreduce moved 1.2 GB/s in pieces of 4 MiB and 0.8 in pieces of 16 MiB, `startAllReduce` 1.9 and 2.3.
/// Sizes that differ between ranks are not detected in general: MPI reports a message longer than its buffer, and waits for one
/// that never comes.
public final class MPICommunicator: Communicator {
    public let rank: Int
    public let size: Int
    /// With a main thread that serves.
    public var movesWhileComputing: Bool { session.isServed }

    let comm: CMPI_Comm
    let session: MPISession
    /// The largest count given to MPI, whose counts and displacements are 32-bit. Tests lower it.
    let maximumCount: Int
    private let isOwned: Bool
    /// Reductions and row exchanges started so far: each has a tag of its own.
    private var started = 0

    init(_ comm: CMPI_Comm, session: MPISession, isOwned: Bool, maximumCount: Int = Int(Int32.max)) throws {
        self.comm = comm
        self.session = session
        self.isOwned = isOwned
        self.maximumCount = maximumCount
        (rank, size) = try session.call("rank") {
            var number: (rank: Int32, size: Int32) = (0, 0)
            try session.check(CMPI_comm_rank(comm, &number.rank), "rank")
            try session.check(CMPI_comm_size(comm, &number.size), "size")
            return (Int(number.rank), Int(number.size))
        }
    }

    deinit {
        guard isOwned, !session.isFinalized else { return }
        // Nobody could act on an error here; the library frees what is left when it ends.
        let handle = comm
        _ = try? session.call("free") { CMPI_comm_free(handle) }
    }

    public func barrier() throws {
        try run("barrier") { CMPI_start_barrier(comm, $0) }
    }

    public func broadcast<Element: CommunicableElement>(
        _ buffer: UnsafeMutableBufferPointer<Element>, root: Int
    ) throws {
        requireRoot(root)
        // Every rank calls with as many elements as its peers, and so comes to the same pieces. An empty buffer has none.
        for begin in stride(from: 0, to: buffer.count, by: maximumCount) {
            let count = Int32(min(maximumCount, buffer.count - begin))
            try run("broadcast") {
                CMPI_start_broadcast(buffer.baseAddress! + begin, count, Element.mpiType, Int32(root), comm, $0)
            }
        }
    }

    public func allReduce<Element: CommunicableElement>(
        _ buffer: UnsafeMutableBufferPointer<Element>, _ operation: ReductionOperation
    ) throws {
        try startReduction(
            "allReduce", [buffer], counts: equalCounts(buffer.count), operation, .ranks(size), into: buffer,
            gathersResult: true
        ).wait()
    }

    public func startAllReduce<Element: CommunicableElement>(
        _ contributions: [UnsafeMutableBufferPointer<Element>], _ operation: ReductionOperation, order: ReductionOrder,
        into result: UnsafeMutableBufferPointer<Element>
    ) throws -> any PendingCollective {
        try startReduction(
            "startAllReduce", contributions, counts: equalCounts(result.count), operation, order, into: result,
            gathersResult: true)
    }

    public func startReduceScatter<Element: CommunicableElement>(
        _ contributions: [UnsafeMutableBufferPointer<Element>], counts: [Int], _ operation: ReductionOperation,
        order: ReductionOrder, into result: UnsafeMutableBufferPointer<Element>
    ) throws -> any PendingCollective {
        requirePieces("startReduceScatter", of: result.count, counts: counts)
        return try startReduction(
            "startReduceScatter", contributions, counts: counts, operation, order, into: result, gathersResult: false)
    }

    private func startReduction<Element: CommunicableElement>(
        _ name: String, _ contributions: [UnsafeMutableBufferPointer<Element>], counts: [Int],
        _ operation: ReductionOperation, _ order: ReductionOrder, into result: UnsafeMutableBufferPointer<Element>,
        gathersResult: Bool
    ) throws -> MPIPendingReduction {
        requireContributions(name, contributions.map(\.count), of: result.count, order)
        let tag = nextTag()
        return try session.call(name) {
            try MPIPendingReduction(
                name, on: self, Reduction(operation: operation, element: Element.elementType), order,
                contributions: contributions.map { pieces(of: $0, counts: counts) },
                results: pieces(of: result, counts: counts), gathersResult: gathersResult, tag: tag)
        }
    }

    private func equalCounts(_ count: Int) -> [Int] {
        (0..<size).map { count * ($0 + 1) / size - count * $0 / size }
    }

    private func pieces<Element>(
        of buffer: UnsafeMutableBufferPointer<Element>, counts: [Int]
    ) -> [UnsafeMutableRawBufferPointer] {
        var begin = 0
        return counts.map { count in
            defer { begin += count }
            return UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: buffer[begin..<begin + count]))
        }
    }

    public func allGather<Element: CommunicableElement>(
        _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>
    ) throws {
        requireGathered(sent.count, into: received.count)
        guard sent.count <= maximumCount else {
            _ = UnsafeMutableBufferPointer(rebasing: received[rank * sent.count..<(rank + 1) * sent.count]).update(from: sent)
            return try allGather(received, counts: Array(repeating: sent.count, count: size))
        }
        try run("allGather") {
            CMPI_start_all_gather(sent.baseAddress, Int32(sent.count), Element.mpiType, received.baseAddress, comm, $0)
        }
    }

    public func allGather<Element: CommunicableElement>(
        _ buffer: UnsafeMutableBufferPointer<Element>, counts: [Int]
    ) throws {
        requirePieces("allGather", of: buffer.count, counts: counts)
        let pieces = pieces(of: buffer, counts: counts), own = UnsafeRawBufferPointer(pieces[rank])
        try complete("allGather") {
            try exchange(of: $0, tag: Self.blockingTag, send: { _ in [own] }, receive: { [pieces[$0]] })
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
        try run("allToAll") {
            CMPI_start_all_to_all(sent.baseAddress, Int32(count), Element.mpiType, received.baseAddress, comm, $0)
        }
    }

    /// Pairwise, each message as bytes. Measured with Open MPI 4.1 on one node, 1 KiB to 16 MiB a pair, it is as fast as
    /// MPI_Alltoallv (two ranks: 25 GB/s and 12 GB/s beyond the cache; four on two cores: 5), needs neither a row datatype
    /// nor 32-bit displacements, and leaves out the pairs that have no rows.
    public func startAllToAll<Element: CommunicableElement>(
        rowWidth: Int, _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>,
        parts: [RowPart]
    ) throws -> any RowExchange {
        requireRuns(width: rowWidth, sent.count, into: received.count, parts)
        let tag = nextTag()
        return try session.call("allToAll rows") {
            try MPIRowExchange(
                on: self, tag: tag, rowBytes: rowWidth * MemoryLayout<Element>.stride,
                sent: UnsafeRawPointer(sent.baseAddress), received: UnsafeMutableRawPointer(received.baseAddress), parts)
        }
    }

    public func split(color: Int, key: Int) throws -> any Communicator {
        precondition(color >= 0, "split: color must be at least 0, but is \(color)")
        return try make("split") { CMPI_comm_split(comm, Int32(color), Int32(key), &$0) }
    }

    public func duplicate() throws -> any Communicator {
        try make("duplicate") { CMPI_comm_duplicate(comm, &$0) }
    }

    /// As `duplicate`, with smaller limits: what is beyond 2³¹ elements for others can be tested on this one.
    package func duplicate(maximumCount: Int) throws -> any Communicator {
        try make("duplicate", maximumCount: maximumCount) { CMPI_comm_duplicate(comm, &$0) }
    }

    private func make(
        _ operation: String, maximumCount: Int? = nil, _ body: (inout UnsafeMutableRawPointer?) -> Int32
    ) throws -> MPICommunicator {
        let made = try session.call(operation) {
            var made: UnsafeMutableRawPointer?
            try session.check(body(&made), operation)
            return made!
        }
        return try MPICommunicator(
            made, session: session, isOwned: true, maximumCount: maximumCount ?? self.maximumCount)
    }

    /// Starts an operation of the library and waits for it.
    private func run(_ operation: String, _ start: (UnsafeMutablePointer<CMPI_Request?>) -> Int32) throws {
        try complete(operation) { try $0.start(start) }
    }

    /// Makes the requests of an operation and waits until all are complete.
    private func complete(_ operation: String, _ start: (MPIOperation) throws -> Void) throws {
        try session.complete(operation) {
            let pending = MPIOperation(operation, on: self)
            try pending.begin { try start(pending) }
            return pending
        }
    }
}

// Messages between two ranks.
extension MPICommunicator {
    /// Of operations that block: they match by order.
    private static let blockingTag: Int32 = 1
    /// The standard promises tags up to 32767.
    private static let tags = 1 << 14

    /// The tag of the next operation under way, the same on all ranks. It is used again when that is long complete.
    private func nextTag() -> Int32 {
        defer { started += 1 }
        return Self.blockingTag + 1 + Int32(started % Self.tags)
    }

    /// The other ranks. Each rank begins with another, so that none is everybody's first.
    var peers: [Int] { (1..<size).map { (rank + $0) % size } }

    /// Starts messages to and from every peer, empty ones left out. Receives come first: what arrives then finds its place
    /// at once. Messages between two ranks do not overtake each other: they match in order.
    func exchange(
        of operation: MPIOperation, tag: Int32, send contributions: (Int) -> [UnsafeRawBufferPointer],
        receive places: (Int) -> [UnsafeMutableRawBufferPointer]
    ) throws {
        for peer in peers.reversed() {
            for place in places(peer) { try receive(place, from: peer, tag: tag, of: operation) }
        }
        for peer in peers {
            for contribution in contributions(peer) { try send(contribution, to: peer, tag: tag, of: operation) }
        }
    }

    func receive(
        _ bytes: UnsafeMutableRawBufferPointer, from peer: Int, tag: Int32, of operation: MPIOperation
    ) throws {
        for offset in stride(from: 0, to: bytes.count, by: maximumCount) {
            let count = Int32(min(maximumCount, bytes.count - offset))
            try operation.start { CMPI_start_receive(bytes.baseAddress! + offset, count, Int32(peer), tag, comm, $0) }
        }
    }

    func send(
        _ bytes: UnsafeRawBufferPointer, to peer: Int, tag: Int32, of operation: MPIOperation
    ) throws {
        for offset in stride(from: 0, to: bytes.count, by: maximumCount) {
            let count = Int32(min(maximumCount, bytes.count - offset))
            try operation.start { CMPI_start_send(bytes.baseAddress! + offset, count, Int32(peer), tag, comm, $0) }
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
