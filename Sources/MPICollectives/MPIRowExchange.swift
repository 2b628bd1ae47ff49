import Collectives

/// An exchange of rows under way: a message a run, from each rank straight to each. What is received of all parts is asked for at
/// once, so that it finds its place when it comes.
final class MPIRowExchange: RowExchange {
    private static let name = "allToAll rows"

    private let communicator: MPICommunicator
    private let tag: Int32
    private let rowBytes: Int
    private let sent: UnsafeRawPointer?
    private let received: UnsafeMutableRawPointer?
    private let parts: [RowPart]
    /// What is received of each part, and what has been sent of those that have.
    private let arrivals: [MPIOperation]
    private var departures: [MPIOperation] = []

    /// `tag` is the exchange's own among what is under way on the communicator, and the same on all ranks.
    init(
        on communicator: MPICommunicator, tag: Int32, rowBytes: Int, sent: UnsafeRawPointer?,
        received: UnsafeMutableRawPointer?, _ parts: [RowPart]
    ) throws {
        self.communicator = communicator
        self.tag = tag
        self.rowBytes = rowBytes
        self.sent = sent
        self.received = received
        self.parts = parts
        // Messages between two ranks do not overtake each other: parts, and runs of a part, match in order.
        arrivals = try parts.map { part in
            let operation = MPIOperation(Self.name, on: communicator)
            try operation.begin {
                for peer in communicator.peers.reversed() {
                    for run in part.receivedRuns where run.peer == peer && run.count * rowBytes > 0 {
                        try communicator.receive(
                            .init(start: received! + run.row * rowBytes, count: run.count * rowBytes), from: peer, tag: tag,
                            of: operation)
                    }
                }
            }
            return operation
        }
    }

    func sendNext() throws {
        let part = parts[departures.count]
        departures.append(
            try communicator.session.call(Self.name) {
                let operation = MPIOperation(Self.name, on: communicator)
                try operation.begin {
                    for peer in communicator.peers {
                        for run in part.sentRuns where run.peer == peer && run.count * rowBytes > 0 {
                            try communicator.send(
                                .init(start: sent! + run.row * rowBytes, count: run.count * rowBytes), to: peer, tag: tag,
                                of: operation)
                        }
                    }
                }
                return operation
            })
        copyOwn(part)
    }

    /// The runs of this rank to itself.
    private func copyOwn(_ part: RowPart) {
        let rank = communicator.rank
        let from = part.sentRuns.filter { $0.peer == rank && $0.count > 0 }
        let to = part.receivedRuns.filter { $0.peer == rank && $0.count > 0 }
        precondition(
            from.map(\.count) == to.map(\.count),
            "allToAll: rank \(rank) sends itself \(from.map(\.count)) rows, but expects \(to.map(\.count))")
        for (from, to) in zip(from, to) where rowBytes > 0 {
            (received! + to.row * rowBytes).copyMemory(from: sent! + from.row * rowBytes, byteCount: from.count * rowBytes)
        }
    }

    func hasArrived(_ part: Int) throws -> Bool { try arrivals[part].poll() }

    func wait(for part: Int) throws { try arrivals[part].wait() }

    func finish() throws {
        precondition(departures.count == parts.count, "allToAll rows: all parts must be sent, but \(departures.count) are")
        for operation in arrivals + departures where !operation.isOver { try operation.wait() }
    }
}
