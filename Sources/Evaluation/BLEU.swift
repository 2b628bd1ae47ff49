import Foundation

/// A corpus's BLEU, and what it is made of.
public struct BLEUScore: Equatable, Sendable {
    /// 0 … 100.
    public var score: Double
    /// Of n-grams of order 1 to 4, smoothed, in percent.
    public var precisions: [Double]
    public var brevityPenalty: Double
    /// Tokens of all hypotheses.
    public var hypothesisLength: Int
    /// Tokens of all references.
    public var referenceLength: Int
}

/// BLEU (Papineni et al., 2002) of a corpus against one reference a segment, equal to sacreBLEU's with its default settings:
/// tokenizer 13a, mixed case, exponential smoothing, no effective order.
public enum BLEU {
    private static let order = 4

    /// - Precondition: as many hypotheses as references.
    /// - Returns: a score of 0 for no segments, and for no common word.
    public static func corpus(hypotheses: [String], references: [String]) -> BLEUScore {
        precondition(hypotheses.count == references.count, "a reference for each hypothesis")
        var statistics = Statistics()
        for (hypothesis, reference) in zip(hypotheses, references) {
            statistics.add(hypothesis: hypothesis, reference: reference)
        }
        return score(statistics)
    }

    /// The settings in sacreBLEU's form; `version` is this program's.
    public static func signature(version: String) -> String {
        "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:strata-\(version)"
    }

    private static func score(_ statistics: Statistics) -> BLEUScore {
        let (hypothesisLength, referenceLength) = (statistics.hypothesisLength, statistics.referenceLength)
        var brevityPenalty = 1.0
        if hypothesisLength < referenceLength {
            brevityPenalty = hypothesisLength > 0 ? exp(1 - Double(referenceLength) / Double(hypothesisLength)) : 0
        }
        var precisions = [Double](repeating: 0, count: order)
        if statistics.correct.contains(where: { $0 > 0 }) {
            // Each order without a match counts as half a match, then a quarter, and so on.
            var smoothing = 1.0
            for n in 0..<order where statistics.total[n] > 0 {
                let total = Double(statistics.total[n])
                if statistics.correct[n] > 0 {
                    precisions[n] = 100 * Double(statistics.correct[n]) / total
                } else {
                    smoothing *= 2
                    precisions[n] = 100 / (smoothing * total)
                }
            }
        }
        // An order longer than every segment has no precision, and makes the score 0.
        let score = precisions.contains(0) ? 0 : brevityPenalty * exp(precisions.reduce(0) { $0 + log($1) } / Double(order))
        return BLEUScore(
            score: score, precisions: precisions, brevityPenalty: brevityPenalty, hypothesisLength: hypothesisLength,
            referenceLength: referenceLength)
    }

    private struct Statistics {
        var correct = [Int](repeating: 0, count: order)
        var total = [Int](repeating: 0, count: order)
        var hypothesisLength = 0
        var referenceLength = 0

        private var tokenizer = Tokenizer13a()
        private var counter = NGramCounter()
        /// Tokens by their bytes: two spellings of a character are two tokens, though Swift's strings would be equal.
        private var numbers: [ArraySlice<UInt8>: UInt32] = [:]

        mutating func add(hypothesis: String, reference: String) {
            numbers.removeAll(keepingCapacity: true)
            let referenceTokens = tokenNumbers(reference)
            let hypothesisTokens = tokenNumbers(hypothesis)
            referenceLength += referenceTokens.count
            hypothesisLength += hypothesisTokens.count
            for n in 1...order {
                counter.removeAll()
                guard hypothesisTokens.count >= n else { break }
                total[n - 1] += hypothesisTokens.count - n + 1
                guard referenceTokens.count >= n else { continue }
                for start in 0...referenceTokens.count - n { counter.insert(nGram(referenceTokens, start, n)) }
                for start in 0...hypothesisTokens.count - n where counter.remove(nGram(hypothesisTokens, start, n)) {
                    correct[n - 1] += 1
                }
            }
        }

        private mutating func tokenNumbers(_ segment: String) -> [UInt32] {
            tokenizer.tokens(of: segment).map { token in
                if let number = numbers[token] { return number }
                let number = UInt32(numbers.count)
                numbers[token] = number
                return number
            }
        }

        private func nGram(_ tokens: [UInt32], _ start: Int, _ n: Int) -> NGramCounter.NGram {
            var nGram = NGramCounter.NGram(high: 0, low: 0)
            for token in tokens[start..<start + n] {
                nGram.high = nGram.high << 32 | nGram.low >> 32
                nGram.low = nGram.low << 32 | UInt64(token)
            }
            return nGram
        }
    }
}
