import Collectives
import TensorCore

/// Which rows go to which expert, and what comes from the peers: made by `plan`, never changed.
public struct DispatchPlan: Sendable {
    /// The token of each choice's row, ordered by (place, expert, choice order): the plan's order.
    public let rowTokens: [Int32]
    /// Rows of the choices in the plan's order, flat as in the decision; −1 where a choice was not kept.
    public let slots: [Int32]
    /// Rows sent to each place, and received from each, one for each choice.
    public let sentRows: [Int]
    public let receivedRows: [Int]
    /// From the plan's order, where the rows of each (place, expert) are together, to experts, where those from each (place, local
    /// expert) are.
    let route: RowRoute
    /// What arrives at the experts with each part of a way.
    let arrivals: [[ExpertRows]]
    /// What this place sends itself.
    let own: [ExpertRows]
    /// What travels instead of a row for each choice; nil where no token can have two experts at one other place.
    let shared: SharedRows?
    /// Bytes that places tell each other of each choice where rows are shared and not passed on: once for a plan, and where gradients
    /// go.
    public static let bytesOfChoice = (
        plan: RowNote.columns(passingOn: false) * MemoryLayout<Float>.stride,
        gradients: RowKernels.weightColumns * MemoryLayout<Float>.stride
    )
    /// Rows for each local expert, by the place that they come from: [place][local expert].
    public let sourceRows: [[Int]]
    /// Rows for each local expert, from all places together.
    public let expertRows: [Int]

    public var rowsSent: Int { rowTokens.count }
    public var rowsReceived: Int { receivedRows.reduce(0, +) }
    /// The tokens of the rows that leave for the experts, in their order.
    public var tokens: [Int32] { shared?.tokens ?? rowTokens }
    /// Rows of the choices among the gradients that come back, flat as in the decision; −1 where a choice was not kept, or where its
    /// gradient is added to another's.
    public var gradientSlots: [Int32] { shared?.gradients?.slots ?? slots }

    /// `share`, given where the rows from each (place, local expert) are put and the parts, asks the peers what they share.
    init(
        rowTokens: [Int32], slots: [Int32], sent: [[Int]], received: [[Int]], place: Int,
        share: (_ route: RowRoute, _ runs: [[RowRun]], _ peers: [PartPeers]) throws -> SharedRows?
    ) rethrows {
        self.rowTokens = rowTokens
        self.slots = slots
        sentRows = sent.map { $0.reduce(0, +) }
        receivedRows = received.map { $0.reduce(0, +) }
        sourceRows = received
        let expertRows = received[place].indices.map { expert in received.reduce(0) { $0 + $1[expert] } }
        self.expertRows = expertRows
        let sentRuns = RowRun.byPlace(sent), receivedRuns = RowRun.byExpert(received, expertRows: expertRows)
        let peers = PartPeers.all(place, of: sent.count, experts: sent.map(\.count).max() ?? 0)
        route = RowRoute(
            peers, sentRows: rowTokens.count, sentRuns, receivedRows: expertRows.reduce(0, +), receivedRuns,
            own: (sentRuns[place], receivedRuns[place]))
        arrivals = zip(peers, route.parts).map { ExpertRows.joined($0.expert, $1.receivedRuns) }
        own = receivedRuns[place].enumerated().flatMap { ExpertRows.joined($0, [$1]) }
        shared = try share(route, receivedRuns, peers)
    }

    /// The rows of a decision in the plan's order, and how many go to each (place, local expert).
    static func arrange(
        _ decision: RoutingDecision, placement: ExpertPlacement
    ) -> (rowTokens: [Int32], slots: [Int32], counts: [[Int]]) {
        var counts = placement.expertsOfPlace.map { [Int](repeating: 0, count: $0.count) }
        for index in decision.experts.indices where decision.kept[index] {
            let expert = Int(decision.experts[index])
            counts[placement.placeOfExpert[expert]][placement.localIndex[expert]] += 1
        }
        var next = [Int](repeating: 0, count: placement.experts), start = 0
        for (place, experts) in placement.expertsOfPlace.enumerated() {
            for (local, expert) in experts.enumerated() where placement.placeOfExpert[expert] == place {
                next[expert] = start
                start += counts[place][local]
            }
        }
        var rowTokens = [Int32](repeating: 0, count: start)
        var slots = [Int32](repeating: -1, count: decision.experts.count)
        for index in decision.experts.indices where decision.kept[index] {
            let row = next[Int(decision.experts[index])]
            next[Int(decision.experts[index])] += 1
            rowTokens[row] = decision.choiceTokens[index]
            slots[index] = Int32(row)
        }
        return (rowTokens, slots, counts)
    }
}
