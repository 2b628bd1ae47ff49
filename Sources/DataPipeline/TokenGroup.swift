import TensorCore

/// A batch of sentence pairs under a token budget: the unit of work that world-size invariance rests on. Its content
/// depends on the seed and the update alone, never on the number of ranks.
public struct TokenGroup: Sendable {
    /// The group's number within its update, 0 ..< the update's groups: part of the key of every random draw.
    public let index: Int
    public let batch: SentenceBatch
    /// Each sentence's direction, as an index into the corpus's directions.
    public let directions: [Int]

    public init(index: Int, batch: SentenceBatch, directions: [Int]) {
        precondition(directions.count == batch.sentences)
        self.index = index
        self.batch = batch
        self.directions = directions
    }

    /// No sentences: what a rank runs, to take part in collectives, when it has no group left.
    public static func empty(index: Int) -> TokenGroup { TokenGroup(index: index, batch: .empty, directions: []) }

    public var sentences: Int { batch.sentences }
    public var targetTokens: Int { batch.targetTokens }
}
