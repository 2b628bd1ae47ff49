import TensorCore

/// A batch of sentence pairs under a token budget: the unit of work that world-size invariance rests on. Its content
/// depends on the seed and the update alone, never on the number of ranks.
public struct TokenGroup: Sendable {
    /// The group's number within its update, 0 ..< the update's groups: part of the key of every random draw.
    public let index: Int
    /// Source tokens of all sentences, each `<2xxx> … </s>`.
    public let source: [Int32]
    public let sourceSegments: Segments
    /// What the decoder reads: `<2xxx> …`, as long as `targetOutput`.
    public let targetInput: [Int32]
    /// What the decoder is to say: `… </s>`.
    public let targetOutput: [Int32]
    public let targetSegments: Segments
    /// Each sentence's direction, as an index into the corpus's directions.
    public let directions: [Int]

    public init(
        index: Int, source: [Int32], sourceSegments: Segments, targetInput: [Int32], targetOutput: [Int32],
        targetSegments: Segments, directions: [Int]
    ) {
        precondition(
            source.count == sourceSegments.rows && targetInput.count == targetSegments.rows
                && targetOutput.count == targetSegments.rows)
        precondition(sourceSegments.count == targetSegments.count && directions.count == sourceSegments.count)
        self.index = index
        self.source = source
        self.sourceSegments = sourceSegments
        self.targetInput = targetInput
        self.targetOutput = targetOutput
        self.targetSegments = targetSegments
        self.directions = directions
    }

    /// No sentences: what a rank runs, to take part in collectives, when it has no group left.
    public static func empty(index: Int) -> TokenGroup {
        TokenGroup(
            index: index, source: [], sourceSegments: .none, targetInput: [], targetOutput: [], targetSegments: .none,
            directions: [])
    }

    public var sentences: Int { sourceSegments.count }
    public var targetTokens: Int { targetOutput.count }
}
