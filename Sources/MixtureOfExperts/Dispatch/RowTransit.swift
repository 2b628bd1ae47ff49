import Collectives
import TensorCore

/// Rows on their way between tokens and experts, one way: part by part between places, and those that stay at their own.
///
/// The rows that leave are to be there when their part is sent, and must stay until the transit has ended.
public final class RowTransit {
    /// The rows in their new order, [n, d]; each can be read once it has arrived.
    public let rows: Tensor
    private let context: ComputeContext
    /// The rows in their old order.
    private let source: Tensor
    private let wire: WireFormat
    private let parts: [RowPart]
    /// Where the rows that stay at this place are, and where they go.
    private let own: (from: [RowRun], to: [RowRun])
    /// What travels, as it does: `source` and `rows` themselves unless they are packed. Nil where nothing does.
    private let travel: (exchange: any RowExchange, sent: Tensor, received: Tensor)?
    /// Whether rows travel while this rank computes.
    let movesWhileComputing: Bool
    private var sentParts = 0
    private var unpacked: [Bool]

    /// Between the places of a communicator. A collective operation.
    init(
        _ context: ComputeContext, _ source: Tensor, into count: Int, _ parts: [RowPart], own: (from: [RowRun], to: [RowRun]),
        over communicator: any Communicator, _ wire: WireFormat
    ) throws {
        self.context = context
        self.source = source
        self.wire = wire
        self.parts = parts
        self.own = own
        rows = context.uninitialized(count, source.columns)
        let width = wire.rowWidth(source.columns)
        let sent = wire == .float32 ? source : context.uninitialized(source.rows, width)
        let received = wire == .float32 ? rows : context.uninitialized(count, width)
        let exchange = try context.clock.measure(.communication, "all-to-all") {
            try communicator.startAllToAll(
                rowWidth: width, UnsafeBufferPointer(sent.buffer), into: received.buffer, parts: parts)
        }
        travel = (exchange, sent, received)
        movesWhileComputing = communicator.movesWhileComputing
        unpacked = parts.map { _ in wire == .float32 }
    }

    /// Of rows that all stay where they are.
    init(_ context: ComputeContext, _ source: Tensor, staying wire: WireFormat) {
        self.context = context
        self.source = source
        self.wire = wire
        rows = wire == .float32 ? source : context.uninitialized(source.rows, source.columns)
        let whole = [RowRun(peer: 0, row: 0, count: source.rows)]
        (parts, own, travel, movesWhileComputing, unpacked) = ([], (whole, whole), nil, false, [])
    }

    /// Sends the rows of the next part. A collective operation.
    func sendNext() throws {
        guard let travel else { return }
        let part = parts[sentParts]
        sentParts += 1
        if wire == .bfloat16 {
            context.clock.measure(.dispatch, "round") {
                for run in part.sentRuns {
                    BFloat16Rows.pack(context, source.rows(run.rows), into: travel.sent.rows(run.rows))
                }
            }
        }
        try context.clock.measure(.communication, "all-to-all") { try travel.exchange.sendNext() }
    }

    /// Brings the rows that stay at this place where they belong, as if they had travelled.
    func moveOwn() {
        guard wire == .bfloat16 || travel != nil else { return }
        context.clock.measure(.dispatch, "own rows") {
            for (from, to) in zip(own.from, own.to) {
                let (from, to) = (source.rows(from.rows), rows.rows(to.rows))
                switch wire {
                case .float32: to.copy(from: from)
                case .bfloat16: BFloat16Rows.round(context, from, into: to)
                }
            }
        }
    }

    /// Whether the rows of a part that this rank has sent have arrived.
    func hasArrived(_ part: Int) throws -> Bool { try travel?.exchange.hasArrived(part) ?? true }

    /// Waits until the rows of a part that this rank has sent can be read.
    func wait(for part: Int) throws {
        guard let travel else { return }
        try context.clock.measure(.communication, "all-to-all") { try travel.exchange.wait(for: part) }
        unpack(part, travel.received)
    }

    /// Waits until all rows have arrived, and those that left can be done away with. All must have been sent.
    @discardableResult
    func end() throws -> Tensor {
        guard let travel else { return rows }
        try context.clock.measure(.communication, "all-to-all") { try travel.exchange.finish() }
        for part in parts.indices { unpack(part, travel.received) }
        return rows
    }

    /// Sends what has not been sent, and waits for all rows: [n, d].
    public func complete() throws -> Tensor {
        while sentParts < parts.count { try sendNext() }
        moveOwn()
        return try end()
    }

    private func unpack(_ part: Int, _ received: Tensor) {
        guard !unpacked[part] else { return }
        unpacked[part] = true
        context.clock.measure(.dispatch, "round") {
            for run in parts[part].receivedRuns {
                BFloat16Rows.unpack(context, received.rows(run.rows), into: rows.rows(run.rows))
            }
        }
    }
}

extension RowRun {
    fileprivate var rows: Range<Int> { row..<row + count }
}
