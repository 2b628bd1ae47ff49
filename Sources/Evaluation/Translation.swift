import TransformerModel

/// What a search found for a sentence.
public struct Translation: Codable, Equatable, Sendable {
    /// Without the end of sentence.
    public var tokens: [Int32]
    /// log p of the tokens and, unless the limit of length cut them off, of the end of sentence.
    public var logProbability: Float
    /// What translations are compared by: `logProbability` over length ^ penalty.
    public var score: Float

    public init(tokens: [Int32], logProbability: Float, score: Float) {
        self.tokens = tokens
        self.logProbability = logProbability
        self.score = score
    }
}

/// What translations start and end with.
public struct SearchVocabulary: Sendable {
    /// The first input of the decoder: the target language's token.
    public let start: Int32
    public let endOfSentence: Int32
    /// Tokens that no translation may contain.
    public let forbidden: [Int32]

    public init(start: Int32, endOfSentence: Int32, forbidden: [Int32]) {
        self.start = start
        self.endOfSentence = endOfSentence
        self.forbidden = forbidden
    }
}

/// A way to choose translations by a scorer's next tokens.
public protocol Search: Sendable {
    /// The translations of each source sentence, best first. `numbers` are the sentences' own, whichever others are in the
    /// batch: what draws are keyed by.
    func translations(
        _ scorer: some NextTokenScorer, _ sources: [[Int32]], numbers: [Int], vocabulary: SearchVocabulary
    ) throws -> [[Translation]]
}
