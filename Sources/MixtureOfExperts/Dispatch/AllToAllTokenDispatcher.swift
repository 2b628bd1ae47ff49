import Collectives
import TensorCore

/// Moves exactly the routed rows between the ranks of an expert-parallel group, and back. Only `plan` and the
/// movements that it begins communicate.
public final class AllToAllTokenDispatcher: TokenDispatcher {
    private let communicator: any Communicator
    public let placement: ExpertPlacement
    private let wire: WireFormat
    private let hosts: PlaceHosts?
    public private(set) var bytesSent = 0
    /// Those of them that crossed to another host; 0 where rows are not passed on.
    public private(set) var bytesBetweenHosts = 0

    /// `communicator` is the expert-parallel group's; its ranks are the placement's places. `hosts` are theirs, where a row crosses
    /// once to a host that wants it and is passed on there; nil: it goes to each place by itself.
    public init(
        communicator: any Communicator, placement: ExpertPlacement, wire: WireFormat = .float32,
        passingOnWithin hosts: PlaceHosts? = nil
    ) {
        precondition(communicator.size == placement.places, "an expert-parallel group has one rank per place")
        precondition(hosts == nil || hosts!.canPassOn && hosts!.ofPlace.count == placement.places, "every place has a host")
        self.communicator = communicator
        self.placement = placement
        self.wire = wire
        self.hosts = hosts
    }

    public var place: Int { communicator.rank }

    /// Exchanges the counts of a decision, and where rows are shared, which.
    public func plan(_ context: ComputeContext, _ decision: RoutingDecision) throws -> DispatchPlan {
        let (rowTokens, slots, counts) = context.clock.measure(.dispatch, "arrange") {
            DispatchPlan.arrange(decision, placement: placement)
        }
        let received = try context.clock.measure(.communication, "exchange counts") { try exchange(counts) }
        return try DispatchPlan(rowTokens: rowTokens, slots: slots, sent: counts, received: received, place: place) {
            guard placement.sharesRows(decision.gate.configuration, visible: decision.visible, hosts: hosts) else { return nil }
            return try share(context, decision, slots: slots, counts: counts, $0, $1, $2)
        }
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

    /// Tells the peers of each choice's row what they must know of it.
    private func share(
        _ context: ComputeContext, _ decision: RoutingDecision, slots: [Int32], counts: [[Int]], _ route: RowRoute,
        _ runs: [[RowRun]], _ peers: [PartPeers]
    ) throws -> SharedRows {
        let departures = context.clock.measure(.dispatch, "arrange") {
            SharedRows.Departures(
                decision, slots: slots, counts: counts, placement: placement, place: place, hosts: hosts)
        }
        let columns = RowNote.columns(passingOn: hosts != nil), sent = context.uninitialized(route.sentRows, columns)
        for (row, note) in departures.notes.enumerated() {
            let words = note.words
            for column in 0..<columns { sent[row, column] = Float(bitPattern: words[column]) }
        }
        let received = try start(context, sent, route, .float32).complete()
        return context.clock.measure(.dispatch, "arrange") {
            let notes = (0..<received.rows).map { row in
                var words = SIMD3<UInt32>.zero
                for column in 0..<columns { words[column] = received[row, column].bitPattern }
                return RowNote(words: words)
            }
            return SharedRows(
                departures, notes: notes, runs: runs, peers: peers, place: place, hosts: hosts, sumsGradients: wire == .float32)
        }
    }

    public func toExperts(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) throws -> RowTransit {
        precondition(rows.rows == plan.tokens.count)
        guard let shared = plan.shared else { return try start(context, rows, plan.route, wire) }
        return try start(
            context, rows, shared.route, wire,
            copies: .init(origins: shared.origins, arrivals: plan.arrivals, weights: nil), relay: shared.relay)
    }

    public func toTokens(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) throws -> RowTransit {
        precondition(rows.rows == plan.rowsReceived)
        return try start(context, rows, plan.route.reversed, wire)
    }

    public func gradientsToExperts(
        _ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan, weighted sum: RowKernels.WeightedSum
    ) throws -> RowTransit {
        guard let shared = plan.shared, shared.gradients != nil else {
            precondition(rows.rows == plan.rowsSent)
            return try start(context, rows, plan.route, wire)
        }
        precondition(rows.rows == plan.tokens.count)
        let weights = context.uninitialized(plan.rowsSent, RowKernels.weightColumns)
        context.clock.measure(.dispatch, "weights") { RowKernels.describe(sum, into: weights) }
        return try start(
            context, rows, shared.route, wire,
            copies: .init(
                origins: shared.origins, arrivals: plan.arrivals,
                weights: (try start(context, weights, plan.route, .float32), sum.mask)), relay: shared.relay)
    }

    public func gradientsToTokens(_ context: ComputeContext, _ rows: Tensor, _ plan: DispatchPlan) throws -> RowTransit {
        precondition(rows.rows == plan.rowsReceived)
        guard let gradients = plan.shared?.gradients else { return try start(context, rows, plan.route.reversed, wire) }
        return try start(context, rows, gradients.route, wire, sums: gradients.sums, relay: gradients.relay)
    }

    private func start(
        _ context: ComputeContext, _ rows: Tensor, _ route: RowRoute, _ wire: WireFormat, sums: [RowKernels.RowSum]? = nil,
        copies: RowTransit.Copies? = nil, relay: HostRelay? = nil
    ) throws -> RowTransit {
        let rowBytes = wire.rowBytes(rows.columns)
        bytesSent += (route.departing + (relay?.rows.count ?? 0)) * rowBytes
        if let hosts { bytesBetweenHosts += route.departing { !hosts.areTogether($0, place) } * rowBytes }
        return try RowTransit(context, rows, route, over: communicator, wire, sums: sums, copies: copies, relay: relay)
    }
}
