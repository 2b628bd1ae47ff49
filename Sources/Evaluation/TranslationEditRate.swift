/// TER (Snover et al., 2006) of a corpus against one reference a segment, equal to sacreBLEU's with its default settings: lower case,
/// no normalisation, punctuation kept. Edits over words of the reference, in percent; 0 is perfect.
public struct TranslationEditRate: CorpusMetric {
    public init() {}

    public var name: String { "TER" }
    public var isHigherBetter: Bool { false }

    public func signature(version: String) -> String {
        "nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:strata-\(version)"
    }

    /// Counts of each segment: edits, words of the reference.
    public func statistics(hypotheses: [String], references: [String]) -> [[Double]] {
        precondition(hypotheses.count == references.count, "a reference for each hypothesis")
        return zip(hypotheses, references).map { hypothesis, reference in
            var numbers: [[Unicode.Scalar]: Int32] = [:]
            func words(_ segment: String) -> [Int32] {
                segment.lowercased().unicodeScalars.split(whereSeparator: Whitespace.contains).map { part in
                    let word = Array(part), number = numbers[word] ?? Int32(numbers.count)
                    numbers[word] = number
                    return number
                }
            }
            let reference = words(reference)
            return [Double(EditSearch.edits(hypothesis: words(hypothesis), reference: reference)), Double(reference.count)]
        }
    }

    public func score<Number: BinaryFloatingPoint>(_ sums: [Number]) -> Double {
        let (edits, words) = (sums[0], sums[1])
        return Double(100 * (words > 0 ? edits / words : edits > 0 ? 1 : 0))
    }
}

/// The fewest edits, shifts of phrases included, that a greedy search finds: tercom's, with its limits and its order among equals.
private struct EditSearch {
    private static let longestShift = 10
    private static let farthestShift = 50
    private static let mostCandidates = 1000

    private var distance: EditDistance
    private let reference: [Int32]
    private var candidates = 0

    static func edits(hypothesis: [Int32], reference: [Int32]) -> Int {
        guard !reference.isEmpty else { return hypothesis.count }
        var search = EditSearch(distance: EditDistance(reference: reference), reference: reference)
        var words = hypothesis, shifts = 0
        while let shifted = search.bestShift(words) {
            shifts += 1
            words = shifted
        }
        return shifts + search.distance.edits(words)
    }

    private init(distance: EditDistance, reference: [Int32]) {
        self.distance = distance
        self.reference = reference
    }

    private struct Shift {
        let gain: Int
        let length: Int
        let start: Int
        let target: Int

        /// More gain; then longer; then from further left; then to further left.
        func isBetter(than other: Shift) -> Bool {
            (gain, length, -start, -target) > (other.gain, other.length, -other.start, -other.target)
        }
    }

    /// The words after the shift that gains most; nil if none gains anything, or too many were looked at.
    private mutating func bestShift(_ words: [Int32]) -> [Int32]? {
        let (edits, alignment) = distance.alignment(words)
        var best: (shift: Shift, words: [Int32])?
        pairs: for (start, referenceStart, length) in matches(words) {
            guard alignment.hypothesisErrors[start..<start + length].contains(true),
                alignment.referenceErrors[referenceStart..<referenceStart + length].contains(true),
                !(start..<start + length).contains(alignment.place[referenceStart])
            else { continue }
            var previous = -1
            for offset in -1..<length {
                let target: Int
                if referenceStart + offset == -1 {
                    target = 0
                } else if referenceStart + offset < alignment.place.count {
                    target = alignment.place[referenceStart + offset] + 1
                } else {
                    break
                }
                if target == previous { continue }
                previous = target
                let shifted = Self.shifted(words, start, length, target)
                let shift = Shift(gain: edits - distance.edits(shifted), length: length, start: start, target: target)
                candidates += 1
                if best.map({ shift.isBetter(than: $0.shift) }) ?? true { best = (shift, shifted) }
            }
            if candidates >= Self.mostCandidates { break pairs }
        }
        guard candidates < Self.mostCandidates, let best, best.shift.gain > 0 else { return nil }
        return best.words
    }

    /// Equal phrases of both sides: start in the hypothesis, start in the reference, length; shorter ones of a place first.
    private func matches(_ words: [Int32]) -> [(Int, Int, Int)] {
        var matches: [(Int, Int, Int)] = []
        for start in words.indices {
            for other in reference.indices where abs(other - start) <= Self.farthestShift {
                var length = 0
                while length < Self.longestShift, start + length < words.count, other + length < reference.count,
                    words[start + length] == reference[other + length]
                {
                    length += 1
                    matches.append((start, other, length))
                }
            }
        }
        return matches
    }

    private static func shifted(_ words: [Int32], _ start: Int, _ length: Int, _ target: Int) -> [Int32] {
        let phrase = words[start..<start + length]
        if target < start {
            return Array(words[..<target] + phrase + words[target..<start] + words[(start + length)...])
        }
        if target > start + length {
            return Array(words[..<start] + words[start + length..<target] + phrase + words[target...])
        }
        let end = min(length + target, words.count)
        return Array(words[..<start] + words[start + length..<end] + phrase + words[end...])
    }
}
