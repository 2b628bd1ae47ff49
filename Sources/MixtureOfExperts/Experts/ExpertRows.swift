import Collectives

/// Neighbouring rows of one local expert, by their place among all rows of a rank's experts.
struct ExpertRows: Equatable, Sendable {
    let expert: Int
    let rows: Range<Int>

    /// All rows of experts, `counts[e]` of expert e, expert after expert.
    static func all(_ counts: [Int]) -> [ExpertRows] {
        var row = 0
        return counts.enumerated().map { expert, count in
            defer { row += count }
            return ExpertRows(expert: expert, rows: row..<row + count)
        }
    }

    /// The rows of runs of one expert, neighbours together; none where there are none.
    static func joined(_ expert: Int, _ runs: [RowRun]) -> [ExpertRows] {
        var ranges: [Range<Int>] = []
        for run in runs.sorted(by: { $0.row < $1.row }) where run.count > 0 {
            if ranges.last?.upperBound == run.row {
                ranges[ranges.count - 1] = ranges[ranges.count - 1].lowerBound..<run.row + run.count
            } else {
                ranges.append(run.row..<run.row + run.count)
            }
        }
        return ranges.map { ExpertRows(expert: expert, rows: $0) }
    }
}
