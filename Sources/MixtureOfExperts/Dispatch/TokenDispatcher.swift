import Collectives
import TensorCore

/// How rows travel between tokens and experts. It knows no parameters. Backward uses the same two movements: the gradient of
/// what went to the experts comes back to the tokens, and the other way round.
public protocol TokenDispatcher: AnyObject {
    var placement: ExpertPlacement { get }
    /// This rank's place.
    var place: Int { get }
    /// Bytes of rows handed to other ranks so far.
    var bytesSent: Int { get }
    /// Arranges the rows of a decision, and agrees with the other places on how many come from where.
    func plan(_ context: ComputeContext, _ decision: RoutingDecision) throws -> DispatchPlan
    /// The way of rows in the plan's order [rowsSent, d] → rows of this rank's experts, expert after expert [rowsReceived, d]; within
    /// an expert by source place.
    func toExperts(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) throws -> RowTransit
    /// The inverse of `toExperts`: rows expert after expert → rows in the plan's order, on the ranks they came from.
    func toTokens(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) throws -> RowTransit
}

/// The dispatcher of a group's ranks: local where one rank hosts all experts. `widths` of the experts, by global id; nil: equal.
/// `existing` are the global ids of those that exist, ascending; nil: all.
public func makeTokenDispatcher(
    communicator: any Communicator, strata: [Int], widths: [Int]? = nil, existing: [Int]? = nil, wire: WireFormat = .float32
) -> any TokenDispatcher {
    let placement = ExpertPlacement(strata: strata, places: communicator.size, widths: widths, existing: existing)
    return communicator.size == 1
        ? LocalTokenDispatcher(placement: placement, wire: wire)
        : AllToAllTokenDispatcher(communicator: communicator, placement: placement, wire: wire)
}

/// One place alone: rows by place and expert are rows by expert, and nothing travels; but rows are rounded as if they did.
public final class LocalTokenDispatcher: TokenDispatcher {
    public let placement: ExpertPlacement
    public let place = 0
    public let bytesSent = 0
    private let wire: WireFormat

    public init(placement: ExpertPlacement, wire: WireFormat = .float32) {
        precondition(placement.places == 1, "rows of several places must travel")
        self.placement = placement
        self.wire = wire
    }

    public func plan(_ context: ComputeContext, _ decision: RoutingDecision) -> DispatchPlan {
        context.clock.measure(.dispatch, "arrange") {
            let (rowTokens, slots, counts) = DispatchPlan.arrange(decision, placement: placement)
            return DispatchPlan(rowTokens: rowTokens, slots: slots, sent: counts, received: counts, place: place)
        }
    }

    public func toExperts(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) -> RowTransit {
        RowTransit(context, rows, staying: wire)
    }

    public func toTokens(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) -> RowTransit {
        RowTransit(context, rows, staying: wire)
    }
}
