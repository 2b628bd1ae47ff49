/// Which numbers the generated corpus shows in training and which it holds out.
///
/// Held-out numbers are the same for all languages and in no training pair of any. They are drawn from 100 on (from the
/// upper half of a range below 200): a basic word such as "zero" may stand in one number only and cannot be learnt without it.
///
/// A language's training numbers are distinct. Drawn evenly by value hardly any would be short, so they begin with all that
/// are below 1000 and not held out (at most half of the pairs; a draw of them if there are more); the rest are drawn evenly
/// from the other numbers.
struct NumeralCorpus {
    static let hub = "eng"
    /// ICU's rules write larger numbers with digits.
    static let largestBelow = 1_000_000_000
    private static let short = 1000

    private enum Purpose: UInt64 { case heldOut = 1, short, rest }

    let configuration: NumeralsConfiguration
    /// Directions `eng-xxx`, one a language.
    let pairs: [Direction]
    let validation: [Int]
    let test: [Int]

    /// - Throws: `DataError.configuration` naming the key whose value is impossible.
    init(_ configuration: NumeralsConfiguration) throws {
        func require(_ condition: Bool, _ key: String, _ must: String, _ actual: String) throws {
            if !condition { throw DataError(.configuration, "data.numerals.\(key) must be \(must), but is \(actual)") }
        }
        let held = configuration.validation + configuration.test
        try require(
            (2...Self.largestBelow).contains(configuration.below), "below", "2 to \(Self.largestBelow)",
            "\(configuration.below)")
        try require(!configuration.languages.isEmpty, "languages", "one language or more", "empty")
        try require(
            Set(configuration.languages).count == configuration.languages.count, "languages", "distinct",
            "\(configuration.languages)")
        try require(!configuration.languages.contains(Self.hub), "languages", "languages beside eng", "one that has eng")
        try require(configuration.validation >= 0, "validation", "0 or more", "\(configuration.validation)")
        try require(configuration.test >= 0, "test", "0 or more", "\(configuration.test)")
        let firstHeldOut = min(100, configuration.below / 2)
        let candidates = configuration.below - firstHeldOut
        try require(
            held < candidates, "validation and data.numerals.test",
            "less together than the \(candidates) numbers from "
                + "\(firstHeldOut) up to data.numerals.below", "\(held)")
        for language in configuration.pairsByLanguage.keys.sorted() {
            try require(
                configuration.languages.contains(language), "pairs_by_language",
                "by languages of data.numerals.languages", "given for \(language)")
        }
        for language in configuration.languages {
            _ = try NumeralSpeller(language: language)
            let count = configuration.pairsByLanguage[language] ?? configuration.pairs
            let key = configuration.pairsByLanguage[language] == nil ? "pairs" : "pairs_by_language.\(language)"
            try require(
                (1...(configuration.below - held)).contains(count), key,
                "1 to \(configuration.below - held), the numbers below \(configuration.below) without the \(held) held out",
                "\(count)")
        }
        self.configuration = configuration
        pairs = configuration.languages.map { Direction(source: Self.hub, target: $0) }
        let order = KeyedPermutation(
            count: candidates, key: combinedKey(configuration.seed, Purpose.heldOut.rawValue))
        let heldOut = (0..<held).map { firstHeldOut + order[$0] }
        validation = Array(heldOut.prefix(configuration.validation))
        test = Array(heldOut.dropFirst(configuration.validation))
    }

    func numbers(language: String, split: Split) -> [Int] {
        switch split {
        case .valid: return validation
        case .test: return test
        case .train: return trainingNumbers(language)
        }
    }

    private func trainingNumbers(_ language: String) -> [Int] {
        let wanted = configuration.pairsByLanguage[language] ?? configuration.pairs
        let heldOut = Set(validation + test)
        let shortEnd = min(Self.short, configuration.below)
        let name = language.utf8.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        func draw(_ range: Range<Int>, _ limit: Int, _ purpose: Purpose) -> [Int] {
            guard !range.isEmpty, limit > 0 else { return [] }
            let order = KeyedPermutation(
                count: range.count, key: combinedKey(configuration.seed, purpose.rawValue, name))
            var drawn: [Int] = []
            for index in 0..<range.count {
                if drawn.count == limit { break }
                let number = range.lowerBound + order[index]
                if !heldOut.contains(number) { drawn.append(number) }
            }
            return drawn
        }
        let large = shortEnd..<configuration.below
        let largeAvailable = large.count - heldOut.count { large.contains($0) }
        let short = draw(0..<shortEnd, max(wanted / 2, wanted - largeAvailable), .short)
        return short + draw(large, wanted - short.count, .rest)
    }
}

/// Numbers in words: the first language beside the second.
struct NumeralPairs: PairSource {
    let pair: Direction
    let numbers: [Int]

    var files: [String] { [] }

    func makeReader() throws -> any PairReader {
        NumeralReader(
            pair: pair, numbers: numbers, source: try NumeralSpeller(language: pair.source),
            target: try NumeralSpeller(language: pair.target))
    }
}

private final class NumeralReader: PairReader {
    private let pair: Direction
    private let numbers: [Int]
    private let source: NumeralSpeller
    private let target: NumeralSpeller
    private var read = 0

    init(pair: Direction, numbers: [Int], source: NumeralSpeller, target: NumeralSpeller) {
        (self.pair, self.numbers, self.source, self.target) = (pair, numbers, source, target)
    }

    func next() throws -> LinePair? {
        guard read < numbers.count else { return nil }
        let number = numbers[read]
        read += 1
        return LinePair(
            number: read, source: TextLine(text: source.words(number), number: read),
            target: TextLine(text: target.words(number), number: read))
    }

    func location(_ number: Int, _ side: LinePair.Side) -> String { "numerals \(pair):\(number)" }
}
