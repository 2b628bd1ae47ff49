import Collectives
import TensorCore

/// Rows on their way between tokens and experts, one way: part by part between places, and those that stay at their own. Some may
/// be passed on between the places of a host, after or before they travel; then they can be read when all have come.
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
    private let travel: Travel?
    /// What is sent, where it is not rows of `source`.
    private let sums: [RowKernels.RowSum]?
    private let copies: Copies?
    private let passage: Passage?
    /// Whether parts travel while this rank computes, and can be read one by one.
    let arrivesInParts: Bool
    private var sentParts = 0
    private var settled: [Bool]

    /// What travels, and how it comes: `sent` and `received` are `source` and `landed` themselves unless they are made for the way;
    /// `landed` is `rows` unless these are copies.
    private struct Travel {
        let exchange: any RowExchange
        let sent: Tensor
        let received: Tensor
        let landed: Tensor
    }

    /// Rows that places of a host pass on to each other, on their way: `received` is what comes so.
    private struct Passage {
        let relay: HostRelay
        let exchange: any RowExchange
        let sent: Tensor
        let received: Tensor
    }

    /// Rows that are made from what has come, several from one where need be.
    struct Copies {
        /// The row of what has come for each row.
        let origins: [Int32]
        /// The rows to be made when a part has arrived.
        let arrivals: [[ExpertRows]]
        /// How they are weighted, one row of `RowKernels.describe` for each; these travel beside them.
        let weights: (transit: RowTransit, mask: DropoutMask)?
    }

    /// Between the places of a communicator. A collective operation. `sums` are what leaves, where that is not the rows themselves.
    /// What `relay` says is passed on: with sums rows that are added to those of another place, with copies what has come.
    init(
        _ context: ComputeContext, _ source: Tensor, _ route: RowRoute, over communicator: any Communicator, _ wire: WireFormat,
        sums: [RowKernels.RowSum]? = nil, copies: Copies? = nil, relay: HostRelay? = nil
    ) throws {
        precondition(sums == nil || wire == .float32, "a sum of rows is not rounded")
        precondition(
            relay == nil || (sums == nil) != (copies == nil), "rows are passed on before they leave, or once they have come")
        self.context = context
        self.source = source
        self.wire = wire
        self.sums = sums
        self.copies = copies
        (parts, own) = (route.parts, route.own)
        let columns = source.columns, width = wire.rowWidth(columns)
        rows = context.uninitialized(copies?.origins.count ?? route.receivedRows, columns)
        // What is passed on lies behind what has come by itself.
        let all = route.receivedRows + (copies == nil ? 0 : relay?.receivedRows ?? 0)
        let landed = copies == nil ? rows : context.uninitialized(all, columns)
        let sent = wire == .float32 && sums == nil ? source : context.uninitialized(route.sentRows, width)
        let received = wire == .float32 ? landed : context.uninitialized(all, width)
        func start(_ sent: Tensor, _ received: Tensor, _ parts: [RowPart]) throws -> any RowExchange {
            try context.clock.measure(.communication, "all-to-all") {
                try communicator.startAllToAll(
                    rowWidth: width, UnsafeBufferPointer(sent.buffer), into: received.buffer, parts: parts)
            }
        }
        travel = Travel(
            exchange: try start(sent, received.rows(0..<route.receivedRows), route.parts), sent: sent, received: received,
            landed: landed)
        passage = try relay.map { relay in
            let sent = context.uninitialized(relay.rows.count, width)
            let received =
                copies == nil ? context.uninitialized(relay.receivedRows, width) : received.rows(route.receivedRows..<all)
            return Passage(relay: relay, exchange: try start(sent, received, [relay.part]), sent: sent, received: received)
        }
        arrivesInParts = communicator.movesWhileComputing && relay == nil
        settled = parts.map { _ in wire == .float32 && copies == nil }
    }

    /// Of rows that all stay where they are.
    init(_ context: ComputeContext, _ source: Tensor, staying wire: WireFormat) {
        self.context = context
        self.source = source
        self.wire = wire
        rows = wire == .float32 ? source : context.uninitialized(source.rows, source.columns)
        let whole = [RowRun(peer: 0, row: 0, count: source.rows)]
        (parts, own, travel, sums, copies, passage, arrivesInParts, settled) = (
            [], (whole, whole), nil, nil, nil, nil, false, []
        )
    }

    /// Sends the rows of the next part. A collective operation.
    func sendNext() throws {
        guard let travel else { return }
        let part = parts[sentParts]
        sentParts += 1
        if sums != nil && sentParts == 1 { try passOn(source) }
        try copies?.weights?.transit.sendNext()
        if let sums {
            context.clock.measure(.dispatch, "add up") {
                for run in part.sentRuns {
                    RowKernels.gatherSums(
                        context, source, passage?.received, sums[run.rows], into: travel.sent.rows(run.rows))
                }
            }
        } else if wire == .bfloat16 {
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
    func hasArrived(_ part: Int) throws -> Bool {
        guard let travel else { return true }
        return try copies?.weights?.transit.hasArrived(part) ?? true && travel.exchange.hasArrived(part)
    }

    /// Waits until the rows of a part that this rank has sent can be read. Parts are waited for in their order.
    func wait(for part: Int) throws {
        guard let travel else { return }
        try copies?.weights?.transit.wait(for: part)
        try context.clock.measure(.communication, "all-to-all") { try travel.exchange.wait(for: part) }
        settle(part, travel)
    }

    /// Waits until all rows have arrived, and those that left can be done away with. All must have been sent.
    @discardableResult
    func end() throws -> Tensor {
        guard let travel else { return rows }
        try copies?.weights?.transit.end()
        try context.clock.measure(.communication, "all-to-all") { try travel.exchange.finish() }
        if copies != nil {
            try passOn(travel.received)
            if let passage, wire == .bfloat16 {
                let first = travel.landed.rows - passage.received.rows
                unpack(passage.received, into: travel.landed.rows(first..<travel.landed.rows))
            }
        }
        for part in parts.indices { settle(part, travel) }
        return rows
    }

    /// Passes on what the relay says of `rows`, and waits for what comes so. A collective operation of the places of a host.
    private func passOn(_ rows: Tensor) throws {
        guard let passage else { return }
        context.clock.measure(.dispatch, "pass on") {
            RowKernels.gather(context, rows, passage.relay.rows, into: passage.sent)
        }
        try context.clock.measure(.communication, "all-to-all") {
            try passage.exchange.sendNext()
            try passage.exchange.finish()
        }
    }

    private func unpack(_ rounded: Tensor, into rows: Tensor) {
        context.clock.measure(.dispatch, "round") { BFloat16Rows.unpack(context, rounded, into: rows) }
    }

    /// Sends all parts, and moves the rows that stay.
    func send() throws {
        for _ in parts { try sendNext() }
        moveOwn()
    }

    /// Sends all rows, and waits for those that come: [n, d].
    public func complete() throws -> Tensor {
        try send()
        return try end()
    }

    /// Makes of what has arrived with a part what can be read.
    private func settle(_ part: Int, _ travel: Travel) {
        guard !settled[part] else { return }
        settled[part] = true
        if wire == .bfloat16 {
            for run in parts[part].receivedRuns { unpack(travel.received.rows(run.rows), into: travel.landed.rows(run.rows)) }
        }
        guard let copies else { return }
        context.clock.measure(.dispatch, "copy") {
            for range in copies.arrivals[part].map(\.rows) {
                let origins = copies.origins[range], target = rows.rows(range)
                if let weights = copies.weights {
                    RowKernels.weigh(
                        context, travel.landed, origins, weights: weights.transit.rows.rows(range), mask: weights.mask,
                        into: target)
                } else {
                    RowKernels.gather(context, travel.landed, origins, into: target)
                }
            }
        }
    }
}
