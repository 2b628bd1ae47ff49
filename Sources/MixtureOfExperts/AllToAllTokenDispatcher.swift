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
        let expertRows = (0..<experts).map { expert in received.reduce(0) { $0 + $1[expert] } }
        return DispatchPlan(
            rowTokens: rowTokens, slots: slots, sentRows: counts.map { $0.reduce(0, +) },
            receivedRows: received.map { $0.reduce(0, +) }, sentRuns: DispatchPlan.runsByPlace(counts),
            receivedRuns: DispatchPlan.runsByExpert(received, expertRows: expertRows), expertRows: expertRows)
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
        return try exchange(context, rows, plan.sentRuns, into: plan.rowsReceived, plan.receivedRuns)
    }

    /// The inverse of `toExperts`: rows expert after expert → rows in the plan's order, on the ranks they came from.
    public func toTokens(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) throws -> Tensor {
        precondition(rows.rows == plan.rowsReceived)
        return try exchange(context, rows, plan.receivedRuns, into: plan.rowsSent, plan.sentRuns)
    }

    /// Every row straight to its place. One place alone has both orders the same.
    private func exchange(
        _ context: ComputeContext, _ sent: Tensor, _ sentRuns: [RowRun], into rows: Int, _ receivedRuns: [RowRun]
    ) throws -> Tensor {
        guard placement.places > 1 else { return sent }
        let received = context.uninitialized(rows, sent.columns)
        try context.clock.measure(.communication, "all-to-all") {
            try communicator.allToAll(
                rowWidth: sent.columns, UnsafeBufferPointer(sent.buffer), sentRuns: sentRuns, into: received.buffer,
                receivedRuns: receivedRuns)
        }
        let departed = sentRuns.reduce(0) { $0 + ($1.peer == place ? 0 : $1.count) }
        bytesSent += departed * sent.columns * MemoryLayout<Float>.stride
        return received
    }
}
