import Collectives
import TensorCore

/// Moves exactly the routed rows between the ranks of an expert-parallel group, and back. Only `plan`, `toExperts` and `toTokens`
/// communicate.
public final class AllToAllTokenDispatcher: TokenDispatcher {
    private let communicator: any Communicator
    public let placement: ExpertPlacement
    private let wire: WireFormat
    public private(set) var bytesSent = 0

    /// `communicator` is the expert-parallel group's; its ranks are the placement's places.
    public init(communicator: any Communicator, placement: ExpertPlacement, wire: WireFormat = .float32) {
        precondition(communicator.size == placement.places, "an expert-parallel group has one rank per place")
        self.communicator = communicator
        self.placement = placement
        self.wire = wire
    }

    public var place: Int { communicator.rank }

    /// Exchanges the counts of a decision.
    public func plan(_ context: ComputeContext, _ decision: RoutingDecision) throws -> DispatchPlan {
        let (rowTokens, slots, counts) = context.clock.measure(.dispatch, "arrange") {
            DispatchPlan.arrange(decision, placement: placement)
        }
        let received = try context.clock.measure(.communication, "exchange counts") { try exchange(counts) }
        return DispatchPlan(
            rowTokens: rowTokens, slots: slots, sent: counts, received: received,
            experts: placement.expertsOfPlace[place].count)
    }

    private func exchange(_ counts: [[Int]]) throws -> [[Int]] {
        let width = placement.mostExpertsOfPlace
        let sent = counts.flatMap { row in (0..<width).map { $0 < row.count ? Int32(row[$0]) : 0 } }
        var received = [Int32](repeating: 0, count: sent.count)
        try sent.withUnsafeBufferPointer { sent in
            try received.withUnsafeMutableBufferPointer { try communicator.allToAll(sent, into: $0) }
        }
        let experts = placement.expertsOfPlace[place].count
        return (0..<placement.places).map { source in (0..<experts).map { Int(received[source * width + $0]) } }
    }

    public func toExperts(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) throws -> Tensor {
        precondition(rows.rows == plan.rowsSent)
        return try exchange(context, rows, plan.sentRuns, into: plan.rowsReceived, plan.receivedRuns)
    }

    public func toTokens(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) throws -> Tensor {
        precondition(rows.rows == plan.rowsReceived)
        return try exchange(context, rows, plan.receivedRuns, into: plan.rowsSent, plan.sentRuns)
    }

    /// Every row straight to its place.
    private func exchange(
        _ context: ComputeContext, _ rows: Tensor, _ sentRuns: [RowRun], into count: Int, _ receivedRuns: [RowRun]
    ) throws -> Tensor {
        guard wire == .bfloat16 else { return try move(context, rows, sentRuns, into: count, receivedRuns) }
        let sent = context.clock.measure(.dispatch, "round") { BFloat16Rows.packed(context, rows) }
        let received = try move(context, sent, sentRuns, into: count, receivedRuns)
        return context.clock.measure(.dispatch, "round") {
            BFloat16Rows.unpacked(context, received, columns: rows.columns)
        }
    }

    private func move(
        _ context: ComputeContext, _ sent: Tensor, _ sentRuns: [RowRun], into rows: Int, _ receivedRuns: [RowRun]
    ) throws -> Tensor {
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
