/// The edit distance of words to a reference, searched near the diagonal alone, and which words it aligns.
struct EditDistance {
    /// Which words of the two sides stand for each other, by the edits from one to the other.
    struct Alignment {
        /// For each word of the reference the last word of the hypothesis at or before it; −1 before the first.
        var place: [Int] = []
        var referenceErrors: [Bool] = []
        var hypothesisErrors: [Bool] = []
    }

    private enum Edit: UInt8 { case none, substitution, deletion, insertion, unknown }

    /// Columns to either side of the diagonal.
    private static let beam = 25
    private static let unreachable = Int32.max / 2

    private let reference: [Int32]
    private var costs: [Int32] = []
    private var edits: [Edit] = []
    /// The words of the rows that are known, from the first: words that begin alike have rows in common.
    private var known: [Int32] = []
    private var knownCount = -1

    /// `reference` has words.
    init(reference: [Int32]) { self.reference = reference }

    mutating func edits(_ words: [Int32]) -> Int {
        fill(words)
        return Int(costs[words.count * (reference.count + 1) + reference.count])
    }

    mutating func alignment(_ words: [Int32]) -> (edits: Int, Alignment) {
        let edits = edits(words)
        return (edits, trace(words))
    }

    /// Costs and edits of every row.
    private mutating func fill(_ words: [Int32]) {
        let columns = reference.count + 1
        // The beam depends on the number of words: rows of other numbers are other rows.
        var row = words.count == knownCount ? zip(words, known).prefix { $0 == $1 }.count : 0
        if words.count != knownCount {
            costs = [Int32](repeating: Self.unreachable, count: (words.count + 1) * columns)
            edits = [Edit](repeating: .unknown, count: costs.count)
            for column in 0..<columns { (costs[column], edits[column]) = (Int32(column), .insertion) }
            knownCount = words.count
        }
        known = words
        let ratio = words.isEmpty ? 1 : Double(reference.count) / Double(words.count)
        let beam = Double(Self.beam) < ratio / 2 ? Int((ratio / 2 + Double(Self.beam)).rounded(.up)) : Self.beam
        while row < words.count {
            row += 1
            let diagonal = Int((Double(row) * ratio).rounded(.down))
            let first = max(0, diagonal - beam), end = row == words.count ? columns : min(columns, diagonal + beam)
            fill(row, first..<max(first, end), words[row - 1])
        }
    }

    private mutating func fill(_ row: Int, _ searched: Range<Int>, _ word: Int32) {
        let columns = reference.count + 1, own = row * columns, above = own - columns
        for column in 0..<columns { (costs[own + column], edits[own + column]) = (Self.unreachable, .unknown) }
        for column in searched {
            guard column > 0 else {
                (costs[own], edits[own]) = (costs[above] + 1, .deletion)
                continue
            }
            let isEqual = word == reference[column - 1]
            var (cost, edit) = (costs[above + column - 1] + (isEqual ? 0 : 1), isEqual ? Edit.none : .substitution)
            // Of equal costs the first counts.
            if costs[above + column] + 1 < cost { (cost, edit) = (costs[above + column] + 1, .deletion) }
            if costs[own + column - 1] + 1 < cost { (cost, edit) = (costs[own + column - 1] + 1, .insertion) }
            if cost < Self.unreachable { (costs[own + column], edits[own + column]) = (cost, edit) }
        }
    }

    private func trace(_ words: [Int32]) -> Alignment {
        let columns = reference.count + 1
        var path: [Edit] = [], row = words.count, column = reference.count
        while row > 0 || column > 0 {
            let edit = edits[row * columns + column]
            path.append(edit)
            switch edit {
            case .none, .substitution: (row, column) = (row - 1, column - 1)
            case .insertion: column -= 1
            case .deletion: row -= 1
            case .unknown: preconditionFailure("the last row is searched as a whole, from what is reachable")
            }
        }
        var alignment = Alignment(), place = -1
        for edit in path.reversed() {
            if edit != .insertion {
                place += 1
                alignment.hypothesisErrors.append(edit != .none)
            }
            if edit != .deletion {
                alignment.place.append(place)
                alignment.referenceErrors.append(edit != .none)
            }
        }
        return alignment
    }
}
