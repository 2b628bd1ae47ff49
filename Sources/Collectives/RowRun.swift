/// Consecutive rows of a buffer that go to, or come from, one rank.
public struct RowRun: Equatable, Sendable {
    public let peer: Int
    /// The first row.
    public let row: Int
    public let count: Int

    public init(peer: Int, row: Int, count: Int) {
        self.peer = peer
        self.row = row
        self.count = count
    }

    /// One run a rank, in rank order without gaps.
    public static func inRankOrder(_ counts: [Int]) -> [RowRun] {
        var row = 0
        return counts.enumerated().map { peer, count in
            defer { row += count }
            return RowRun(peer: peer, row: row, count: count)
        }
    }
}

extension Communicator {
    /// Sends and receives runs of rows, as `startAllToAll` does those of one part.
    public func allToAll<Element: CommunicableElement>(
        rowWidth: Int, _ sent: UnsafeBufferPointer<Element>, sentRuns: [RowRun],
        into received: UnsafeMutableBufferPointer<Element>, receivedRuns: [RowRun]
    ) throws {
        let exchange = try startAllToAll(
            rowWidth: rowWidth, sent, into: received, parts: [RowPart(sentRuns: sentRuns, receivedRuns: receivedRuns)])
        try exchange.sendNext()
        try exchange.finish()
    }

    /// As `allToAll` with runs: `sentRows[r]` rows to rank r, taken from `sent` in rank order without gaps, and `receivedRows[r]`
    /// from rank r, stored likewise. Counts may be zero, and may differ between ranks.
    public func allToAll<Element: CommunicableElement>(
        rowWidth: Int, _ sent: UnsafeBufferPointer<Element>, sentRows: [Int],
        into received: UnsafeMutableBufferPointer<Element>, receivedRows: [Int]
    ) throws {
        requireCounts(sentRows: sentRows, receivedRows: receivedRows)
        try allToAll(
            rowWidth: rowWidth, sent, sentRuns: RowRun.inRankOrder(sentRows), into: received,
            receivedRuns: RowRun.inRankOrder(receivedRows))
    }
}
