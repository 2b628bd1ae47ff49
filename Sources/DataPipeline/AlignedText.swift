/// Sentence pairs of two aligned files, to be run through a model without preparing them.
public struct AlignedText: Sendable {
    public let source: String
    public let target: String
    /// Line by line, empty ones included.
    public let pairs: [(source: String, target: String)]

    /// Reads at most `limit` lines.
    ///
    /// - Throws: `DataError` for a file that cannot be read, lines that are no text, or files of different length.
    public init(source: String, target: String, limit: Int = .max) throws {
        self.source = source
        self.target = target
        let reader = try AlignedFiles(source: source, target: target).makeReader()
        var pairs: [(source: String, target: String)] = []
        while pairs.count < limit, let pair = try reader.next() {
            func text(_ line: TextLine, _ side: LinePair.Side) throws -> String {
                if line.mending.contains(.cut) {
                    throw DataError(
                        .text,
                        "\(reader.location(pair.number, side)): must be at most \(LineReader.maximumBytes) bytes, but is "
                            + "longer")
                }
                if line.mending.contains(.invalidUTF8) {
                    throw DataError(.text, "\(reader.location(pair.number, side)): must be UTF-8 text, but holds other bytes")
                }
                return line.text
            }
            pairs.append((try text(pair.source, .source), try text(pair.target, .target)))
        }
        self.pairs = pairs
    }

    /// The pairs packed in order under a token budget; longer ones are an error, or left out.
    ///
    /// - Throws: `DataError` for a language that the tokenizer does not know, or a sentence longer than the budget.
    public func groups(
        _ direction: Direction, tokenizer: Tokenizer, tokensPerGroup: Int, leavingOutLonger: Bool = false
    ) throws -> [TokenGroup] {
        guard let languageToken = tokenizer.languageToken(direction.target) else {
            throw DataError(
                .configuration,
                "the target language must be one of \(tokenizer.languages.joined(separator: ", ")), but is "
                    + direction.target)
        }
        var groups: [TokenGroup] = [], sourceTokens = 0, targetTokens = 0
        var builder = TokenGroupBuilder(endOfSentence: tokenizer.endOfSentence)
        func close() {
            if sourceTokens > 0 { groups.append(builder.group(index: groups.count)) }
            (sourceTokens, targetTokens) = (0, 0)
            builder = TokenGroupBuilder(endOfSentence: tokenizer.endOfSentence)
        }
        for (index, pair) in pairs.enumerated() {
            let tokens = (source: tokenizer.encode(pair.source), target: tokenizer.encode(pair.target))
            let rows = (
                source: TokenGroupBuilder.sourceRows(tokens.source.count),
                target: TokenGroupBuilder.targetRows(tokens.target.count)
            )
            guard max(rows.source, rows.target) <= tokensPerGroup else {
                if leavingOutLonger { continue }
                throw DataError(
                    .text,
                    "\(source) and \(target), line \(index + 1): must be at most \(tokensPerGroup) tokens, special ones "
                        + "included, but has \(max(rows.source, rows.target)): split the sentence")
            }
            if sourceTokens + rows.source > tokensPerGroup || targetTokens + rows.target > tokensPerGroup { close() }
            builder.append(
                direction: 0, languageToken: languageToken, source: { $0 += tokens.source }, target: { $0 += tokens.target })
            sourceTokens += rows.source
            targetTokens += rows.target
        }
        close()
        return groups
    }
}
