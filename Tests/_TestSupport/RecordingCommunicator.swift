import Collectives

/// Passes every operation on to another communicator and notes its name and what it was called on: `world`, and what was made
/// of it, as `world.split0` or `world.duplicate`; and counts the bytes that leave the rank.
public final class RecordingCommunicator: Communicator {
    /// What one rank called, in order.
    public final class Log {
        public private(set) var lines: [String] = []
        /// Bytes handed to other ranks: of rows, and of the sums of `startAllReduce`, in pieces and as results.
        public fileprivate(set) var rowBytes = 0
        public fileprivate(set) var sumBytes = 0

        public init() {}

        fileprivate func note(_ line: String) { lines.append(line) }
    }

    public let log: Log
    private let base: any Communicator
    private let name: String
    private var splits = 0

    public init(_ base: any Communicator, name: String = "world", log: Log = Log()) {
        self.base = base
        self.name = name
        self.log = log
    }

    public var rank: Int { base.rank }
    public var size: Int { base.size }
    public var movesWhileComputing: Bool { base.movesWhileComputing }

    private func note(_ operation: String) { log.note("\(name) \(operation)") }

    public func barrier() throws {
        note("barrier")
        try base.barrier()
    }

    public func broadcast<Element: CommunicableElement>(_ buffer: UnsafeMutableBufferPointer<Element>, root: Int) throws {
        note("broadcast")
        try base.broadcast(buffer, root: root)
    }

    public func allReduce<Element: CommunicableElement>(
        _ buffer: UnsafeMutableBufferPointer<Element>, _ operation: ReductionOperation
    ) throws {
        note("allReduce")
        try base.allReduce(buffer, operation)
    }

    public func startAllReduce<Element: CommunicableElement>(
        _ contributions: [UnsafeMutableBufferPointer<Element>], _ operation: ReductionOperation, order: ReductionOrder,
        into result: UnsafeMutableBufferPointer<Element>
    ) throws -> any PendingCollective {
        note("startAllReduce \(result.count)")
        let own = result.count * (rank + 1) / size - result.count * rank / size
        let elements = contributions.count * (result.count - own) + own * (size - 1)
        log.sumBytes += elements * MemoryLayout<Element>.stride
        return try base.startAllReduce(contributions, operation, order: order, into: result)
    }

    public func startReduceScatter<Element: CommunicableElement>(
        _ contributions: [UnsafeMutableBufferPointer<Element>], counts: [Int], _ operation: ReductionOperation,
        order: ReductionOrder, into result: UnsafeMutableBufferPointer<Element>
    ) throws -> any PendingCollective {
        note("startReduceScatter \(result.count)")
        return try base.startReduceScatter(contributions, counts: counts, operation, order: order, into: result)
    }

    public func allGather<Element: CommunicableElement>(
        _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>
    ) throws {
        note("allGather")
        try base.allGather(sent, into: received)
    }

    public func allGather<Element: CommunicableElement>(_ buffer: UnsafeMutableBufferPointer<Element>, counts: [Int]) throws {
        note("allGather in place")
        try base.allGather(buffer, counts: counts)
    }

    public func allToAll<Element: CommunicableElement>(
        _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>
    ) throws {
        note("allToAll")
        try base.allToAll(sent, into: received)
    }

    public func startAllToAll<Element: CommunicableElement>(
        rowWidth: Int, _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>,
        parts: [RowPart]
    ) throws -> any RowExchange {
        note("startAllToAll rows")
        let rows = parts.flatMap(\.sentRuns).reduce(0) { $0 + ($1.peer == rank ? 0 : $1.count) }
        log.rowBytes += rows * rowWidth * MemoryLayout<Element>.stride
        return try base.startAllToAll(rowWidth: rowWidth, sent, into: received, parts: parts)
    }

    public func split(color: Int, key: Int) throws -> any Communicator {
        defer { splits += 1 }
        return RecordingCommunicator(try base.split(color: color, key: key), name: "\(name).split\(splits)", log: log)
    }

    public func duplicate() throws -> any Communicator {
        RecordingCommunicator(try base.duplicate(), name: "\(name).duplicate", log: log)
    }
}
