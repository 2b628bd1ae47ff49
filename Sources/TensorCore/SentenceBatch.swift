/// Packed sentence pairs, as a model reads them.
public struct SentenceBatch: Sendable {
    /// Source tokens of all sentences, each `<2xxx> … </s>`.
    public let source: [Int32]
    public let sourceSegments: Segments
    /// What the decoder reads: `<2xxx> …`, as long as `targetOutput`.
    public let targetInput: [Int32]
    /// What the decoder is to say: `… </s>`.
    public let targetOutput: [Int32]
    public let targetSegments: Segments

    public init(
        source: [Int32], sourceSegments: Segments, targetInput: [Int32], targetOutput: [Int32], targetSegments: Segments
    ) {
        precondition(
            source.count == sourceSegments.rows && targetInput.count == targetSegments.rows
                && targetOutput.count == targetSegments.rows && sourceSegments.count == targetSegments.count)
        self.source = source
        self.sourceSegments = sourceSegments
        self.targetInput = targetInput
        self.targetOutput = targetOutput
        self.targetSegments = targetSegments
    }

    /// No sentences.
    public static let empty = SentenceBatch(
        source: [], sourceSegments: .none, targetInput: [], targetOutput: [], targetSegments: .none)

    public var sentences: Int { sourceSegments.count }
    public var targetTokens: Int { targetOutput.count }
}
