import Collectives

/// Rows that the places of one host pass on to each other.
struct HostRelay: Sendable {
    /// The rows that this place passes on, among those that it has: by the place that they are for.
    let rows: [Int32]
    /// Where they are, and where those that it gets are: by the place that they come from.
    let part: RowPart
    let receivedRows: Int

    /// `given` are the rows for each place of the host, `taken` how many come from each, `host` the places.
    init(_ given: [[Int32]], taken: [Int], host: [Int]) {
        func runs(_ counts: [Int]) -> [RowRun] {
            zip(host, RowRun.inRankOrder(counts)).map { RowRun(peer: $0, row: $1.row, count: $1.count) }.filter { $0.count > 0 }
        }
        rows = given.flatMap(\.self)
        part = RowPart(sentRuns: runs(given.map(\.count)), receivedRuns: runs(taken))
        receivedRows = taken.reduce(0, +)
    }
}
