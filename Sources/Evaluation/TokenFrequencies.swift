/// How frequent tokens are in a text, and their ranks.
public struct TokenFrequencies: Equatable, Sendable {
    /// Occurrences, by token id.
    public let counts: [Int64]
    /// Ranks by token id, from 1: 1 + the number of more frequent tokens. Equally frequent tokens share a rank.
    public let ranks: [Int]

    public init(counts: [Int64]) {
        self.counts = counts
        var ranks = [Int](repeating: 0, count: counts.count), rank = 1
        let order = counts.indices.sorted { counts[$0] > counts[$1] }
        for (position, token) in order.enumerated() {
            if position > 0, counts[token] < counts[order[position - 1]] { rank = position + 1 }
            ranks[token] = rank
        }
        self.ranks = ranks
    }
}
