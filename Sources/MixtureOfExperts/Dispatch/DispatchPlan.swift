import Collectives

/// Which rows go to which expert, and what comes from the peers: made by `plan`, never changed.
public struct DispatchPlan: Sendable {
    /// The token of each row sent, ordered by (place, expert, choice order): the plan's order.
    public let rowTokens: [Int32]
    /// Rows of the choices in the plan's order, flat as in the decision; −1 where a choice was not kept.
    public let slots: [Int32]
    /// Rows sent to each place.
    public let sentRows: [Int]
    /// Rows received from each place.
    public let receivedRows: [Int]
    /// Where the rows of each (place, expert) are in the plan's order, and where those from each (place, local expert) are put:
    /// the two sides of the exchange, to experts in this direction and back in the other.
    let sentRuns: [[RowRun]]
    let receivedRuns: [[RowRun]]
    /// The parts in which rows travel between this place and the others, and what arrives with each of them at the experts.
    let parts: [RowPart]
    let arrivals: [[ExpertRows]]
    /// What this place sends itself.
    let own: [ExpertRows]
    /// Rows for each local expert, by the place that they come from: [place][local expert].
    public let sourceRows: [[Int]]
    /// Rows for each local expert, from all places together.
    public let expertRows: [Int]

    public var rowsSent: Int { rowTokens.count }
    public var rowsReceived: Int { receivedRows.reduce(0, +) }

    init(
        rowTokens: [Int32], slots: [Int32], sent: [[Int]], received: [[Int]], place: Int
    ) {
        self.rowTokens = rowTokens
        self.slots = slots
        sentRows = sent.map { $0.reduce(0, +) }
        receivedRows = received.map { $0.reduce(0, +) }
        sourceRows = received
        expertRows = received[place].indices.map { expert in received.reduce(0) { $0 + $1[expert] } }
        sentRuns = Self.runsByPlace(sent)
        receivedRuns = Self.runsByExpert(received, expertRows: expertRows)
        let peers = Self.peersOfParts(place, of: sent.count, experts: sent.map(\.count).max() ?? 0)
        let (sentRuns, receivedRuns) = (sentRuns, receivedRuns)
        parts = peers.map { expert, targets, sources in
            RowPart(
                sentRuns: targets.compactMap { sentRuns[$0].indices.contains(expert) ? sentRuns[$0][expert] : nil },
                receivedRuns: sources.compactMap { receivedRuns[$0].indices.contains(expert) ? receivedRuns[$0][expert] : nil })
        }
        arrivals = zip(peers, parts).map { ExpertRows.joined($0.expert, $1.receivedRuns) }
        own = receivedRuns[place].enumerated().flatMap { ExpertRows.joined($0, [$1]) }
    }

    /// The local expert number of each part, and the places that a place sends to and receives from: at most two groups of peers, for
    /// with fewer, computing would begin later, and with more, it would be of few rows at a time. They are grouped by their distance, so
    /// that all places agree.
    private static func peersOfParts(
        _ place: Int, of places: Int, experts: Int
    ) -> [(expert: Int, targets: [Int], sources: [Int])] {
        let groups = min(places - 1, 2)
        return (0..<groups).flatMap { group in
            let distances = 1 + group * (places - 1) / groups..<1 + (group + 1) * (places - 1) / groups
            return (0..<experts).map { expert in
                (expert, distances.map { (place + $0) % places }, distances.map { (place - $0 + places) % places })
            }
        }
    }

    /// Runs for rows that lie by place, then by local expert.
    private static func runsByPlace(_ counts: [[Int]]) -> [[RowRun]] {
        var row = 0
        return counts.enumerated().map { place, counts in
            counts.map { count in
                defer { row += count }
                return RowRun(peer: place, row: row, count: count)
            }
        }
    }

    /// Runs for rows that come by place, then by local expert, and are put by local expert, then by place.
    private static func runsByExpert(_ counts: [[Int]], expertRows: [Int]) -> [[RowRun]] {
        var next = expertRows.indices.map { expertRows[..<$0].reduce(0, +) }
        return counts.enumerated().map { place, counts in
            counts.enumerated().map { expert, count in
                defer { next[expert] += count }
                return RowRun(peer: place, row: next[expert], count: count)
            }
        }
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
            for (local, expert) in experts.enumerated() {
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
