import Collectives

/// Passes every operation on to another communicator and notes its name and what it was called on: `world`, and what was made
/// of it, as `world.split0` or `world.duplicate`.
final class RecordingCommunicator: Communicator {
    /// What one rank called, in order.
    final class Log {
        private(set) var lines: [String] = []
        fileprivate func note(_ line: String) { lines.append(line) }
    }

    let log: Log
    private let base: any Communicator
    private let name: String
    private var splits = 0

    init(_ base: any Communicator, name: String = "world", log: Log = Log()) {
        self.base = base
        self.name = name
        self.log = log
    }

    var rank: Int { base.rank }
    var size: Int { base.size }

    private func note(_ operation: String) { log.note("\(name) \(operation)") }

    func barrier() throws {
        note("barrier")
        try base.barrier()
    }

    func broadcast<Element: CommunicableElement>(_ buffer: UnsafeMutableBufferPointer<Element>, root: Int) throws {
        note("broadcast")
        try base.broadcast(buffer, root: root)
    }

    func allReduce<Element: CommunicableElement>(
        _ buffer: UnsafeMutableBufferPointer<Element>, _ operation: ReductionOperation
    ) throws {
        note("allReduce")
        try base.allReduce(buffer, operation)
    }

    func startAllReduce<Element: CommunicableElement>(
        _ contributions: [UnsafeMutableBufferPointer<Element>], _ operation: ReductionOperation, order: ReductionOrder,
        into result: UnsafeMutableBufferPointer<Element>
    ) throws -> any PendingCollective {
        note("startAllReduce \(result.count)")
        return try base.startAllReduce(contributions, operation, order: order, into: result)
    }

    func startReduceScatter<Element: CommunicableElement>(
        _ contributions: [UnsafeMutableBufferPointer<Element>], counts: [Int], _ operation: ReductionOperation,
        order: ReductionOrder, into result: UnsafeMutableBufferPointer<Element>
    ) throws -> any PendingCollective {
        note("startReduceScatter \(result.count)")
        return try base.startReduceScatter(contributions, counts: counts, operation, order: order, into: result)
    }

    func allGather<Element: CommunicableElement>(
        _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>
    ) throws {
        note("allGather")
        try base.allGather(sent, into: received)
    }

    func allGather<Element: CommunicableElement>(_ buffer: UnsafeMutableBufferPointer<Element>, counts: [Int]) throws {
        note("allGather in place")
        try base.allGather(buffer, counts: counts)
    }

    func allToAll<Element: CommunicableElement>(
        _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>
    ) throws {
        note("allToAll")
        try base.allToAll(sent, into: received)
    }

    func allToAll<Element: CommunicableElement>(
        rowWidth: Int, _ sent: UnsafeBufferPointer<Element>, sentRuns: [RowRun],
        into received: UnsafeMutableBufferPointer<Element>, receivedRuns: [RowRun]
    ) throws {
        note("allToAll rows")
        try base.allToAll(rowWidth: rowWidth, sent, sentRuns: sentRuns, into: received, receivedRuns: receivedRuns)
    }

    func split(color: Int, key: Int) throws -> any Communicator {
        defer { splits += 1 }
        return RecordingCommunicator(try base.split(color: color, key: key), name: "\(name).split\(splits)", log: log)
    }

    func duplicate() throws -> any Communicator {
        RecordingCommunicator(try base.duplicate(), name: "\(name).duplicate", log: log)
    }
}
