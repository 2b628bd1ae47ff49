/// chrF (Popović, 2015) of a corpus against one reference a segment, equal to sacreBLEU's: chrF2, of character n-grams of order 1 to
/// 6, or chrF2++ (Popović, 2017), of words and pairs of words besides. White space removed, mixed case, β 2, no epsilon smoothing.
public struct ChrF: CorpusMetric {
    private static let characterOrder = 6
    private static let beta = 2
    /// 0, or 2 of chrF2++.
    private let wordOrder: Int

    /// chrF2.
    public init() { wordOrder = 0 }

    private init(wordOrder: Int) { self.wordOrder = wordOrder }

    /// chrF2++.
    public static let plusPlus = ChrF(wordOrder: 2)

    public var name: String { wordOrder > 0 ? "chrF2++" : "chrF2" }

    public func signature(version: String) -> String {
        "nrefs:1|case:mixed|eff:yes|nc:6|nw:\(wordOrder)|space:no|version:strata-\(version)"
    }

    /// Counts of each segment and order: n-grams of the hypothesis, those of the reference, and common ones. Where the reference
    /// has none, the hypothesis's do not count.
    public func statistics(hypotheses: [String], references: [String]) -> [[Double]] {
        precondition(hypotheses.count == references.count, "a reference for each hypothesis")
        var counter = NGramCounter()
        return zip(hypotheses, references).map { hypothesis, reference in
            var counts: [Double] = []
            let characters = (Self.characters(of: hypothesis), Self.characters(of: reference))
            for n in 1...Self.characterOrder { counts += Self.counts(characters, n, bits: 21, &counter) }
            if wordOrder > 0 {
                var numbers: [[Unicode.Scalar]: UInt32] = [:]
                func numbered(_ segment: String) -> [UInt32] {
                    Self.words(of: segment).map { word in
                        let number = numbers[word] ?? UInt32(numbers.count)
                        numbers[word] = number
                        return number
                    }
                }
                let words = (numbered(hypothesis), numbered(reference))
                for n in 1...wordOrder { counts += Self.counts(words, n, bits: 31, &counter) }
            }
            return counts
        }
    }

    /// Precision and recall are averaged over the orders that both sides have, then combined.
    public func score<Number: BinaryFloatingPoint>(_ sums: [Number]) -> Double {
        var (precision, recall, orders) = (Number(0), Number(0), Number(0))
        for order in 0..<sums.count / 3 {
            let (hypothesis, reference, matches) = (sums[3 * order], sums[3 * order + 1], sums[3 * order + 2])
            guard hypothesis > 0, reference > 0 else { continue }
            precision += matches / hypothesis
            recall += matches / reference
            orders += 1
        }
        guard orders > 0, precision + recall > 0 else { return 0 }
        precision /= orders
        recall /= orders
        let factor = Number(Self.beta * Self.beta)
        let score = (1 + factor) * precision * recall / (factor * precision + recall)
        return Double(100 * score)
    }

    private static func characters(of segment: String) -> [UInt32] {
        segment.unicodeScalars.compactMap { Whitespace.contains($0) ? nil : $0.value }
    }

    /// What stands between white space; of one with ASCII punctuation at its end, or else at its beginning, that is a word of its own.
    private static func words(of segment: String) -> [[Unicode.Scalar]] {
        segment.unicodeScalars.split(whereSeparator: Whitespace.contains).flatMap { part -> [[Unicode.Scalar]] in
            let word = Array(part)
            if word.count == 1 { return [word] }
            if isPunctuation(word[word.count - 1]) { return [Array(word.dropLast()), [word[word.count - 1]]] }
            if isPunctuation(word[0]) { return [[word[0]], Array(word.dropFirst())] }
            return [word]
        }
    }

    private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "!"..."/", ":"..."@", "["..."`", "{"..."~": true
        default: false
        }
    }

    private static func counts(
        _ sides: (hypothesis: [UInt32], reference: [UInt32]), _ n: Int, bits: UInt64, _ counter: inout NGramCounter
    ) -> [Double] {
        let (hypothesis, reference) = sides
        guard reference.count >= n else { return [0, 0, 0] }
        let own = Double(reference.count - n + 1)
        guard hypothesis.count >= n else { return [0, own, 0] }
        counter.removeAll()
        for start in 0...reference.count - n { counter.insert(nGram(reference, start, n, bits)) }
        var matches = 0
        for start in 0...hypothesis.count - n where counter.remove(nGram(hypothesis, start, n, bits)) { matches += 1 }
        return [Double(hypothesis.count - n + 1), own, Double(matches)]
    }

    /// Exact: a character takes 21 bits, so that three fit each half; a word's number at most 31, and there are two.
    private static func nGram(_ tokens: [UInt32], _ start: Int, _ n: Int, _ bits: UInt64) -> NGramCounter.NGram {
        let kept = 63 / bits * bits
        var nGram = NGramCounter.NGram(high: 0, low: 0)
        for token in tokens[start..<start + n] {
            nGram.high = nGram.high << bits | nGram.low >> (kept - bits)
            nGram.low = (nGram.low << bits | UInt64(token)) & (1 << kept - 1)
        }
        nGram.high &= 1 << kept - 1
        return nGram
    }
}
