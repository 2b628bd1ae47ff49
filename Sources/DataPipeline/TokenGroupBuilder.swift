import TensorCore

/// Packs sentence pairs into one token group.
struct TokenGroupBuilder {
    private let endOfSentence: Int32
    private var source: [Int32] = []
    private var targetInput: [Int32] = []
    private var targetOutput: [Int32] = []
    private var sourceOffsets = [0]
    private var targetOffsets = [0]
    private var directions: [Int] = []

    init(endOfSentence: Int32) { self.endOfSentence = endOfSentence }

    /// Rows that a sentence takes in the encoder: its tokens, the language token and `</s>`.
    static func sourceRows(_ length: Int) -> Int { length + 2 }
    /// Rows that a sentence takes in the decoder: its tokens and the language token, or `</s>`.
    static func targetRows(_ length: Int) -> Int { length + 1 }

    /// - Parameters:
    ///   - direction: its number among the corpus's directions.
    ///   - languageToken: of the target language.
    mutating func append(_ pair: OrientedPair, _ index: Int, direction: Int, languageToken: Int32) {
        append(
            direction: direction, languageToken: languageToken, source: { pair.source.append(index, to: &$0) },
            target: { pair.target.append(index, to: &$0) })
    }

    /// Appends a sentence pair as above; its tokens come from what appends them.
    mutating func append(
        direction: Int, languageToken: Int32, source appendSource: (inout [Int32]) -> Void,
        target appendTarget: (inout [Int32]) -> Void
    ) {
        source.append(languageToken)
        appendSource(&source)
        source.append(endOfSentence)
        targetInput.append(languageToken)
        appendTarget(&targetInput)
        appendTarget(&targetOutput)
        targetOutput.append(endOfSentence)
        sourceOffsets.append(source.count)
        targetOffsets.append(targetInput.count)
        directions.append(direction)
    }

    func group(index: Int) -> TokenGroup {
        TokenGroup(
            index: index,
            batch: SentenceBatch(
                source: source, sourceSegments: Segments(offsets: sourceOffsets), targetInput: targetInput,
                targetOutput: targetOutput, targetSegments: Segments(offsets: targetOffsets)), directions: directions)
    }
}

extension PreparedCorpus {
    /// The token of a direction's target language and the direction's number.
    ///
    /// - Throws: `DataError.configuration` for a direction that was not prepared.
    func describe(_ direction: Direction) throws -> (index: Int, languageToken: Int32) {
        guard let index = directions.firstIndex(of: direction), let token = tokenizer.languageToken(direction.target) else {
            throw DataError(
                .configuration,
                "data.directions must be among those prepared in \(path) "
                    + "(\(directions.map(\.description).joined(separator: ", "))), but has \(direction): "
                    + "run strata prepare CONFIG")
        }
        return (index, token)
    }
}
