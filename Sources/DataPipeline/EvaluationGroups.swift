/// The token groups of a whole split, always the same: for validation loss and analyses.
///
/// Direction after direction, sentences in the order of the text, each group of one direction. Sentences over
/// `data.maximum_length` are left out, as they are in training. Groups are built when they are asked for.
public struct EvaluationGroups: RandomAccessCollection, Sendable {
    private struct Batch: Sendable {
        let pair: OrientedPair
        let sentences: [Int]
        let direction: Int
        let languageToken: Int32
    }

    private let batches: [Batch]
    private let endOfSentence: Int32

    /// - Throws: `DataError.configuration` for a direction that was not prepared, or a sentence longer than the budget.
    /// `limit`: only so many first sentences of each direction.
    public init(
        corpus: PreparedCorpus, split: Split, directions: [Direction], tokensPerGroup: Int, limit: Int = .max
    ) throws {
        var batches: [Batch] = []
        for direction in directions {
            let (index, languageToken) = try corpus.describe(direction)
            guard let pair = corpus.oriented(direction, split) else { continue }
            var sentences: [Int] = []
            var sourceTokens = 0
            var targetTokens = 0
            func close() {
                if !sentences.isEmpty {
                    batches.append(
                        Batch(pair: pair, sentences: sentences, direction: index, languageToken: languageToken))
                }
                (sentences, sourceTokens, targetTokens) = ([], 0, 0)
            }
            for sentence in 0..<Swift.min(pair.source.count, limit) {
                let lengths = (source: pair.source.length(sentence), target: pair.target.length(sentence))
                if Swift.max(lengths.source, lengths.target) > corpus.manifest.maximumLength { continue }
                let rows = (
                    source: TokenGroupBuilder.sourceRows(lengths.source), target: TokenGroupBuilder.targetRows(lengths.target)
                )
                let longer = Swift.max(rows.source, rows.target)
                guard longer <= tokensPerGroup else {
                    throw DataError(
                        .configuration,
                        "training.tokens_per_group must be at least \(longer), sentence \(sentence + 1) of \(direction) in "
                            + "\(split.rawValue) with its special tokens, but is \(tokensPerGroup): raise it, or lower "
                            + "data.maximum_length and prepare again")
                }
                if sourceTokens + rows.source > tokensPerGroup || targetTokens + rows.target > tokensPerGroup { close() }
                sentences.append(sentence)
                sourceTokens += rows.source
                targetTokens += rows.target
            }
            close()
        }
        self.batches = batches
        endOfSentence = corpus.tokenizer.endOfSentence
    }

    public var startIndex: Int { 0 }
    public var endIndex: Int { batches.count }

    public subscript(position: Int) -> TokenGroup {
        let batch = batches[position]
        var builder = TokenGroupBuilder(endOfSentence: endOfSentence)
        for sentence in batch.sentences {
            builder.append(batch.pair, sentence, direction: batch.direction, languageToken: batch.languageToken)
        }
        return builder.group(index: position)
    }
}
