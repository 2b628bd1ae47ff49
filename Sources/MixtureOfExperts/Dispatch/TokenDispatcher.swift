import Collectives
import TensorCore

/// How rows travel between tokens and experts. It knows no parameters. In forward rows go `toExperts` and outputs `toTokens`; in
/// backward the gradients of the outputs go to the experts, and those of the rows back to the tokens.
public protocol TokenDispatcher: AnyObject {
    var placement: ExpertPlacement { get }
    /// This rank's place.
    var place: Int { get }
    /// Bytes handed to other ranks so far: of rows, and of what is said of each.
    var bytesSent: Int { get }
    /// Arranges the rows of a decision, and agrees with the other places on how many come from where.
    func plan(_ context: ComputeContext, _ decision: RoutingDecision) throws -> DispatchPlan
    /// The way of rows of the plan's `tokens` → rows of this rank's experts, expert after expert [rowsReceived, d]; within an
    /// expert by source place.
    func toExperts(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) throws -> RowTransit
    /// Rows expert after expert → rows of the choices in the plan's order [rowsSent, d], on the ranks they came from.
    func toTokens(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) throws -> RowTransit
    /// The way of what `DispatchPlan.outputGradients` made → gradients of the experts' outputs, in the order of `toExperts`, of
    /// choices weighted by `sum`.
    func gradientsToExperts(
        _ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan, weighted sum: RowKernels.WeightedSum
    ) throws -> RowTransit
    /// Gradients of rows expert after expert → those of the choices, where `gradientSlots` says, some of them sums of two.
    func gradientsToTokens(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) throws -> RowTransit
}

/// The dispatcher of a group's ranks: local where one rank hosts all experts. `widths` of the experts, by global id; nil: equal.
/// `existing` are the global ids of those that exist, ascending; nil: all. `partSize` is the ranks that share a copy of small strata;
/// nil: there are none. `given` are the experts' places where they are chosen, `replicated` those of which every rank has a copy. `hosts`
/// are the ranks', where rows are passed on within them.
public func makeTokenDispatcher(
    communicator: any Communicator, strata: [Int], partSize: Int? = nil, widths: [Int]? = nil, existing: [Int]? = nil,
    given: [Int]? = nil, replicated: [Int] = [], wire: WireFormat = .float32, passingOnWithin hosts: PlaceHosts? = nil
) -> any TokenDispatcher {
    let placement = ExpertPlacement(
        strata: strata, places: communicator.size, partSize: partSize, seenFrom: communicator.rank, widths: widths,
        existing: existing, given: given, replicated: replicated)
    return communicator.size == 1
        ? LocalTokenDispatcher(placement: placement, wire: wire)
        : AllToAllTokenDispatcher(
            communicator: communicator, placement: placement, wire: wire, passingOnWithin: hosts)
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
            return DispatchPlan(rowTokens: rowTokens, slots: slots, sent: counts, received: counts, place: place) { _, _, _ in
                nil
            }
        }
    }

    public func toExperts(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) -> RowTransit {
        RowTransit(context, rows, staying: wire)
    }

    public func toTokens(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) -> RowTransit {
        RowTransit(context, rows, staying: wire)
    }

    public func gradientsToExperts(
        _ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan, weighted sum: RowKernels.WeightedSum
    ) -> RowTransit {
        RowTransit(context, rows, staying: wire)
    }

    public func gradientsToTokens(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) -> RowTransit {
        RowTransit(context, rows, staying: wire)
    }
}
