/// Sentence pairs that were left out, by reason.
public struct SkippedPairs: Equatable, Codable, Sendable, CustomStringConvertible {
    /// One side or both hold no text.
    public var empty = 0
    /// More tokens than `data.maximum_length` on a side, or more bytes than a line may have.
    public var long = 0
    /// Lines that are not valid UTF-8, or not two columns.
    public var invalid = 0
    /// By `data.filters`, each nil for none: sides of too different lengths, pairs that came before, the same text on both
    /// sides, pairs of valid or test.
    public var uneven: Int?
    public var duplicates: Int?
    public var identical: Int?
    public var heldOut: Int?

    public init() {}

    /// Every reason that there is, with the number of pairs.
    public var counts: [(reason: String, pairs: Int)] {
        [
            ("empty", empty), ("too long", long), ("invalid", invalid), ("uneven", uneven ?? 0), ("duplicate", duplicates ?? 0),
            ("identical", identical ?? 0), ("held out", heldOut ?? 0),
        ]
    }

    public var total: Int { counts.reduce(0) { $0 + $1.pairs } }

    public var description: String {
        counts.filter { $0.pairs > 0 }.map { "\($0.pairs) \($0.reason)" }.joined(separator: ", ")
    }
}

/// Holds line pairs to the configured policies, and those of training to the filters.
struct LineFilter {
    private let invalidText: DataConfiguration.LinePolicy
    private let emptyLines: DataConfiguration.LinePolicy
    private let longSentences: DataConfiguration.LinePolicy
    private let filters: FilterConfiguration
    private let pair: Direction
    private let heldOut: HeldOutPairs?
    /// Hashes of the pairs so far, where duplicates are left out: some 16 bytes a pair.
    private var seen: Set<UInt64> = []
    private(set) var skipped = SkippedPairs()

    /// - Parameter heldOut: the pairs of valid and test.
    init(_ configuration: DataConfiguration, _ part: ParallelText.Part, _ heldOut: HeldOutPairs) {
        invalidText = configuration.invalidText
        emptyLines = configuration.emptyLines
        longSentences = configuration.longSentences
        filters = part.split == .train ? configuration.filters : .none
        pair = part.pair
        self.heldOut = filters.heldOut == .skip ? heldOut : nil
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
        return isFiltered((source, target)) ? nil : (source, target)
    }

    /// Whether a pair of the lengths in tokens is left out, which is counted.
    mutating func isUneven(_ source: Int, _ target: Int) -> Bool {
        let ratio = filters.lengthRatio
        guard ratio > 0, Double(max(source, target)) > ratio * Double(min(source, target)) else { return false }
        skipped.uneven = (skipped.uneven ?? 0) + 1
        return true
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

    private mutating func isFiltered(_ text: (source: String, target: String)) -> Bool {
        if filters.identical == .skip, text.source == text.target {
            skipped.identical = (skipped.identical ?? 0) + 1
            return true
        }
        if let heldOut, heldOut.holds(text, pair) {
            skipped.heldOut = (skipped.heldOut ?? 0) + 1
            return true
        }
        if filters.duplicates == .skip, !seen.insert(HeldOutPairs.hash(text, pair)).inserted {
            skipped.duplicates = (skipped.duplicates ?? 0) + 1
            return true
        }
        return false
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
