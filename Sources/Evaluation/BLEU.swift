import Foundation

/// A corpus's BLEU, and what it is made of.
public struct BLEUScore: Equatable, Sendable {
    /// 0 … 100.
    public var score: Double
    /// Precisions of n-grams of order 1 to 4, smoothed, in percent.
    public var precisions: [Double]
    public var brevityPenalty: Double
    /// Tokens of all hypotheses.
    public var hypothesisLength: Int
    /// Tokens of all references.
    public var referenceLength: Int
}

/// BLEU (Papineni et al., 2002) of a corpus against one reference a segment, equal to sacreBLEU's with its default settings: mixed
/// case, exponential smoothing, no effective order.
public struct BLEU: CorpusMetric {
    private static let order = 4
    public let tokenizer: BLEUTokenizer

    public init(tokenizer: BLEUTokenizer = .mteval13a) { self.tokenizer = tokenizer }

    public var name: String { "BLEU" }

    public func signature(version: String) -> String {
        "nrefs:1|case:mixed|eff:no|tok:\(tokenizer.kind.rawValue)|smooth:exp|version:strata-\(version)"
    }

    /// The whole of a corpus's score.
    ///
    /// - Precondition: as many hypotheses as references.
    /// - Returns: a score of 0 for no segments, and for no common word.
    public func details(hypotheses: [String], references: [String]) -> BLEUScore {
        details(sum(statistics(hypotheses: hypotheses, references: references)))
    }

    public func score<Number: BinaryFloatingPoint>(_ sums: [Number]) -> Double { details(sums).score }

    /// Counts of each segment: tokens of the hypothesis and of the reference, common n-grams of each order, n-grams of each order.
    public func statistics(hypotheses: [String], references: [String]) -> [[Double]] {
        precondition(hypotheses.count == references.count, "a reference for each hypothesis")
        var counts = SegmentCounts(tokenizer)
        return zip(hypotheses, references).map { counts.of(hypothesis: $0, reference: $1) }
    }

    private func details<Number: BinaryFloatingPoint>(_ sums: [Number]) -> BLEUScore {
        let hypothesisLength = Int(sums[0]), referenceLength = Int(sums[1])
        let correct = sums[2..<2 + Self.order].map(\.self), totals = sums[(2 + Self.order)...].map(\.self)
        var brevityPenalty = 1.0
        if hypothesisLength < referenceLength {
            brevityPenalty = hypothesisLength > 0 ? exp(1 - Double(referenceLength) / Double(hypothesisLength)) : 0
        }
        var precisions = [Number](repeating: 0, count: Self.order)
        if correct.contains(where: { $0 > 0 }) {
            // Each order without a match counts as half a match, then a quarter, and so on.
            var smoothing: Number = 1
            for n in 0..<Self.order {
                guard totals[n] > 0 else { break }
                if correct[n] > 0 {
                    precisions[n] = 100 * correct[n] / totals[n]
                } else {
                    smoothing *= 2
                    precisions[n] = 100 / (smoothing * totals[n])
                }
            }
        }
        // An order longer than every segment has no precision, and makes the score 0.
        let score =
            precisions.contains(0)
            ? 0 : brevityPenalty * exp(precisions.reduce(0) { $0 + log(Double($1)) } / Double(Self.order))
        return BLEUScore(
            score: score, precisions: precisions.map { Double($0) }, brevityPenalty: brevityPenalty,
            hypothesisLength: hypothesisLength, referenceLength: referenceLength)
    }

    /// Counts one segment after another, with memory of its own.
    private struct SegmentCounts {
        private var tokenizer: SegmentTokenizer
        private var counter = NGramCounter()
        /// Tokens by their bytes: two spellings of a character are two tokens, though Swift's strings would be equal.
        private var numbers: [ArraySlice<UInt8>: UInt32] = [:]

        init(_ tokenizer: BLEUTokenizer) { self.tokenizer = SegmentTokenizer(tokenizer) }

        mutating func of(hypothesis: String, reference: String) -> [Double] {
            numbers.removeAll(keepingCapacity: true)
            let referenceTokens = tokenNumbers(reference), hypothesisTokens = tokenNumbers(hypothesis)
            var counts = [Double](repeating: 0, count: 2 + 2 * order)
            counts[0] = Double(hypothesisTokens.count)
            counts[1] = Double(referenceTokens.count)
            for n in 1...order {
                guard hypothesisTokens.count >= n else { break }
                counts[1 + order + n] = Double(hypothesisTokens.count - n + 1)
                guard referenceTokens.count >= n else { continue }
                counts[1 + n] = Double(common(hypothesisTokens, referenceTokens, n))
            }
            return counts
        }

        private mutating func common(_ hypothesis: [UInt32], _ reference: [UInt32], _ n: Int) -> Int {
            counter.removeAll()
            for start in 0...reference.count - n { counter.insert(nGram(reference, start, n)) }
            var common = 0
            for start in 0...hypothesis.count - n where counter.remove(nGram(hypothesis, start, n)) { common += 1 }
            return common
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
