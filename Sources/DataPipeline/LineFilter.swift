/// Sentence pairs that were left out, by reason.
public struct SkippedPairs: Equatable, Codable, Sendable {
    /// One side or both hold no text.
    public var empty = 0
    /// More tokens than `data.maximum_length` on a side, or more bytes than a line may have.
    public var long = 0
    /// Lines that are not valid UTF-8, or not two columns.
    public var invalid = 0

    public init() {}

    public var total: Int { empty + long + invalid }
}

/// Holds line pairs to the configured policies.
struct LineFilter {
    let invalidText: DataConfiguration.LinePolicy
    let emptyLines: DataConfiguration.LinePolicy
    let longSentences: DataConfiguration.LinePolicy
    private(set) var skipped = SkippedPairs()

    init(_ configuration: DataConfiguration) {
        invalidText = configuration.invalidText
        emptyLines = configuration.emptyLines
        longSentences = configuration.longSentences
    }

    /// The pair's text, or nil if it is to be skipped.
    mutating func text(of pair: LinePair, in reader: any PairReader) throws -> (source: String, target: String)? {
        if let malformed = pair.malformed {
            try skipInvalid(reader.location(pair.number, .source), malformed)
            return nil
        }
        guard let source = try text(of: pair.source, pair.number, .source, reader),
            let target = try text(of: pair.target, pair.number, .target, reader)
        else { return nil }
        for (text, side) in [(source, LinePair.Side.source), (target, .target)] where isBlank(text) {
            guard emptyLines == .skip else {
                throw DataError(
                    .text,
                    "\(reader.location(pair.number, side)): must hold text, but is empty: mend the line or set "
                        + "data.empty_lines to skip")
            }
            skipped.empty += 1
            return nil
        }
        return (source, target)
    }

    /// Counts a pair that is too long, or throws if such pairs are refused.
    mutating func countLong(_ location: String, tokens: Int, maximum: Int) throws {
        try allowLong(location, tokens: tokens, maximum: maximum)
        skipped.long += 1
    }

    /// Throws if pairs that are too long are refused.
    func allowLong(_ location: String, tokens: Int, maximum: Int) throws {
        guard longSentences == .refuse else { return }
        throw DataError(
            .text,
            "\(location): must be at most \(maximum) tokens (data.maximum_length), but is \(tokens): shorten the "
                + "sentence, raise the maximum or set data.long_sentences to skip")
    }

    private mutating func text(
        of line: TextLine, _ number: Int, _ side: LinePair.Side, _ reader: any PairReader
    ) throws -> String? {
        if line.mending.contains(.cut) {
            guard longSentences == .skip else {
                throw DataError(
                    .text,
                    "\(reader.location(number, side)): must be a sentence, but has more than "
                        + "\(LineReader.maximumBytes) bytes: split the line or set data.long_sentences to skip")
            }
            skipped.long += 1
            return nil
        }
        if line.mending.contains(.invalidUTF8) {
            try skipInvalid(reader.location(number, side), "must be valid UTF-8, but is not")
            return nil
        }
        return line.text
    }

    private mutating func skipInvalid(_ location: String, _ fault: String) throws {
        guard invalidText == .skip else {
            throw DataError(.text, "\(location): \(fault): mend the line or set data.invalid_text to skip")
        }
        skipped.invalid += 1
    }
}
