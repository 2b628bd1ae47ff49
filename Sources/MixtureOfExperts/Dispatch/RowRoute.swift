import Collectives

/// A way of rows between the places: where they are before and after, of each place (and local expert), and in which parts they
/// travel.
struct RowRoute: Sendable {
    /// Rows before and after.
    let sentRows: Int
    let receivedRows: Int
    let parts: [RowPart]
    /// Where the rows that stay at this place are, and where they go.
    let own: (from: [RowRun], to: [RowRun])

    private init(sentRows: Int, receivedRows: Int, parts: [RowPart], own: (from: [RowRun], to: [RowRun])) {
        self.sentRows = sentRows
        self.receivedRows = receivedRows
        self.parts = parts
        self.own = own
    }

    /// Of runs by place, then by local expert; those of this place are `own`.
    init(
        _ peers: [PartPeers], sentRows: Int, _ sent: [[RowRun]], receivedRows: Int, _ received: [[RowRun]],
        own: (from: [RowRun], to: [RowRun])
    ) {
        func runs(_ runs: [[RowRun]], _ places: [Int], _ expert: Int) -> [RowRun] {
            places.compactMap { runs[$0].indices.contains(expert) ? runs[$0][expert] : nil }
        }
        self.init(
            sentRows: sentRows, receivedRows: receivedRows,
            parts: peers.map {
                RowPart(
                    sentRuns: runs(sent, $0.targets, $0.expert), receivedRuns: runs(received, $0.sources, $0.expert))
            }, own: own)
    }

    /// The way back.
    var reversed: RowRoute {
        RowRoute(
            sentRows: receivedRows, receivedRows: sentRows,
            parts: parts.map { RowPart(sentRuns: $0.receivedRuns, receivedRuns: $0.sentRuns) }, own: (own.to, own.from))
    }

    /// Rows that leave this place.
    var departing: Int { departing { _ in true } }

    /// Rows that leave it for certain places.
    func departing(to isMeant: (_ place: Int) -> Bool) -> Int {
        parts.reduce(0) { $0 + $1.sentRuns.reduce(0) { $0 + (isMeant($1.peer) ? $1.count : 0) } }
    }
}

/// A part of every way between tokens and experts: the experts of one local number, and the places that a place sends to and
/// receives from. There are at most two groups of peers, for with fewer, computing would begin later, and with more, it would be of
/// few rows at a time. They are grouped by their distance, so that all places agree.
struct PartPeers {
    let expert: Int
    let targets: [Int]
    let sources: [Int]

    static func all(_ place: Int, of places: Int, experts: Int) -> [PartPeers] {
        let groups = min(places - 1, 2)
        return (0..<groups).flatMap { group in
            let distances = 1 + group * (places - 1) / groups..<1 + (group + 1) * (places - 1) / groups
            return (0..<experts).map { expert in
                PartPeers(
                    expert: expert, targets: distances.map { (place + $0) % places },
                    sources: distances.map { (place - $0 + places) % places })
            }
        }
    }
}

extension RowRun {
    var rows: Range<Int> { row..<row + count }

    /// Runs for rows that lie by place, then by local expert.
    static func byPlace(_ counts: [[Int]]) -> [[RowRun]] {
        var row = 0
        return counts.enumerated().map { place, counts in
            counts.map { count in
                defer { row += count }
                return RowRun(peer: place, row: row, count: count)
            }
        }
    }

    /// Runs for rows that come by place, then by local expert, and are put by local expert, then by place.
    static func byExpert(_ counts: [[Int]], expertRows: [Int]) -> [[RowRun]] {
        var next = expertRows.indices.map { expertRows[..<$0].reduce(0, +) }
        return counts.enumerated().map { place, counts in
            counts.enumerated().map { expert, count in
                defer { next[expert] += count }
                return RowRun(peer: place, row: next[expert], count: count)
            }
        }
    }
}
