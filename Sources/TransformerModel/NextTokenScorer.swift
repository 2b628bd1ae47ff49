import TensorCore

/// A hypothesis that a step of search extends.
public struct DecodingRow: Sendable {
    /// Its last token.
    public let token: Int32
    /// The source sentence that it translates, by the number that `begin` gave it.
    public let sentence: Int
    /// The row of the step before that it continues; nil where it begins a translation.
    public let parent: Int?

    public init(token: Int32, sentence: Int, parent: Int?) {
        self.token = token
        self.sentence = sentence
        self.parent = parent
    }
}

/// What search asks: how likely each token is to come next. A model answers it, and so does whatever combines models.
public protocol NextTokenScorer: AnyObject {
    /// Where the answers are computed.
    var context: ComputeContext { get }
    /// Tokens that have a score.
    var vocabulary: Int { get }

    /// Takes in source sentences, and numbers them on from those before. Rows of sentences that began at different steps may
    /// stand in one step.
    func begin(_ sources: [[Int32]]) throws -> Range<Int>

    /// A step: logits of the next token for each row, [rows, V]; the caller may write over them.
    func logits(_ rows: [DecodingRow]) throws -> Tensor

    /// A step of which only each row's `count` likeliest next tokens are asked for, as `TopLogProbabilities.select` orders them.
    func best(_ count: Int, of rows: [DecodingRow], forbidden: [Int32]) throws -> [[TopLogProbabilities.Candidate]]

    /// Forgets a sentence: no later row translates it.
    func end(_ sentence: Int)
}

extension NextTokenScorer {
    public func best(_ count: Int, of rows: [DecodingRow], forbidden: [Int32]) throws -> [[TopLogProbabilities.Candidate]] {
        TopLogProbabilities.select(context, logits: try logits(rows), count: count, forbidden: forbidden)
    }
}
