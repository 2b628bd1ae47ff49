import Collectives
import TensorCore

/// Moves exactly the routed rows between the ranks of an expert-parallel group, and back. It knows no parameters.
///
/// Only `plan`, `toExperts` and `toTokens` communicate. Backward uses the same two movements: the gradient of a dispatch is a
/// return, and the other way round.
public final class AllToAllTokenDispatcher {
    private let communicator: any Communicator
    public let placement: ExpertPlacement
    /// Bytes of rows handed to other ranks so far.
    public private(set) var bytesSent = 0

    /// `communicator` is the expert-parallel group's; its ranks are the placement's places.
    public init(communicator: any Communicator, placement: ExpertPlacement) {
        precondition(communicator.size == placement.places, "an expert-parallel group has one rank a place")
        self.communicator = communicator
        self.placement = placement
    }

    public var place: Int { communicator.rank }

    /// Exchanges the counts of a decision.
    public func plan(_ context: ComputeContext, _ decision: RoutingDecision) throws -> DispatchPlan {
        let (rowTokens, slots, counts) = context.clock.measure(.dispatch, "arrange") {
            DispatchPlan.arrange(decision, placement: placement)
        }
        let received = try context.clock.measure(.communication, "exchange counts") { try exchange(counts) }
        let experts = placement.expertsOfPlace[place].count
        return DispatchPlan(
            rowTokens: rowTokens, slots: slots, sentRows: counts.map { $0.reduce(0, +) },
            receivedRows: received.map { $0.reduce(0, +) }, receivedCounts: received,
            expertRows: (0..<experts).map { expert in received.reduce(0) { $0 + $1[expert] } })
    }

    private func exchange(_ counts: [[Int]]) throws -> [[Int]] {
        guard placement.places > 1 else { return counts }
        let width = placement.mostExpertsOfPlace
        let sent = counts.flatMap { row in (0..<width).map { $0 < row.count ? Int32(row[$0]) : 0 } }
        var received = [Int32](repeating: 0, count: sent.count)
        try sent.withUnsafeBufferPointer { sent in
            try received.withUnsafeMutableBufferPointer { try communicator.allToAll(sent, into: $0) }
        }
        let experts = placement.expertsOfPlace[place].count
        return (0..<placement.places).map { source in (0..<experts).map { Int(received[source * width + $0]) } }
    }

    /// Rows in the plan's order [rowsSent, d] → rows of this rank's experts, expert after expert [rowsReceived, d]; within an
    /// expert by source place.
    public func toExperts(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) throws -> Tensor {
        precondition(rows.rows == plan.rowsSent)
        guard placement.places > 1 else { return rows }
        let arrived = context.uninitialized(plan.rowsReceived, rows.columns)
        try exchangeRows(context, rows, plan.sentRows, into: arrived, plan.receivedRows)
        let grouped = context.uninitialized(plan.rowsReceived, rows.columns)
        forEachRun(plan) { arrivedRow, groupedRow, count in
            grouped.row(groupedRow).update(from: arrived.row(arrivedRow), count: count * rows.columns)
        }
        return grouped
    }

    /// The inverse of `toExperts`: rows expert after expert → rows in the plan's order, on the ranks they came from.
    public func toTokens(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) throws -> Tensor {
        precondition(rows.rows == plan.rowsReceived)
        guard placement.places > 1 else { return rows }
        let departing = context.uninitialized(plan.rowsReceived, rows.columns)
        forEachRun(plan) { departingRow, groupedRow, count in
            departing.row(departingRow).update(from: rows.row(groupedRow), count: count * rows.columns)
        }
        let returned = context.uninitialized(plan.rowsSent, rows.columns)
        try exchangeRows(context, departing, plan.receivedRows, into: returned, plan.sentRows)
        return returned
    }

    private func exchangeRows(
        _ context: ComputeContext, _ sent: Tensor, _ sentRows: [Int], into received: Tensor, _ receivedRows: [Int]
    ) throws {
        try context.clock.measure(.communication, "all-to-all") {
            try communicator.allToAll(
                rowWidth: sent.columns, UnsafeBufferPointer(sent.buffer), sentRows: sentRows,
                into: received.buffer, receivedRows: receivedRows)
        }
        bytesSent += (sent.rows - sentRows[place]) * sent.columns * MemoryLayout<Float>.stride
    }

    /// Calls `body(row by source place, row by expert, rows)` for each run of rows of one place for one expert.
    private func forEachRun(_ plan: DispatchPlan, _ body: (Int, Int, Int) -> Void) {
        var next = plan.expertRows.indices.map { plan.expertRows[..<$0].reduce(0, +) }
        var row = 0
        for counts in plan.receivedCounts {
            for (expert, count) in counts.enumerated() where count > 0 {
                body(row, next[expert], count)
                row += count
                next[expert] += count
            }
        }
    }
}
