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
        return DispatchPlan(rowTokens: rowTokens, slots: slots, sent: counts, received: received, place: place)
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

    public func toExperts(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) throws -> RowTransit {
        precondition(rows.rows == plan.rowsSent)
        return try start(
            context, rows, into: plan.rowsReceived, plan.parts, own: (plan.sentRuns[place], plan.receivedRuns[place]))
    }

    public func toTokens(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) throws -> RowTransit {
        precondition(rows.rows == plan.rowsReceived)
        return try start(
            context, rows, into: plan.rowsSent,
            plan.parts.map { RowPart(sentRuns: $0.receivedRuns, receivedRuns: $0.sentRuns) },
            own: (plan.receivedRuns[place], plan.sentRuns[place]))
    }

    /// Every row straight to its place.
    private func start(
        _ context: ComputeContext, _ rows: Tensor, into count: Int, _ parts: [RowPart], own: (from: [RowRun], to: [RowRun])
    ) throws -> RowTransit {
        let departing = parts.reduce(0) { $0 + $1.sentRuns.reduce(0) { $0 + $1.count } }
        bytesSent += departing * wire.rowBytes(rows.columns)
        return try RowTransit(context, rows, into: count, parts, own: own, over: communicator, wire)
    }
}
