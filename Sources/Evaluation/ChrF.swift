/// chrF2 (Popović, 2015) of a corpus against one reference a segment, equal to sacreBLEU's with its default settings: character
/// n-grams of order 1 to 6, no word n-grams, white space removed, mixed case, no epsilon smoothing.
public enum ChrF {
    private static let order = 6
    private static let beta = 2.0

    /// 0 … 100.
    ///
    /// - Precondition: as many hypotheses as references.
    public static func corpus(hypotheses: [String], references: [String]) -> Double {
        precondition(hypotheses.count == references.count, "a reference for each hypothesis")
        var statistics = [OrderStatistics](repeating: OrderStatistics(), count: order)
        var counter = NGramCounter()
        for (hypothesis, reference) in zip(hypotheses, references) {
            let hypothesis = characters(of: hypothesis)
            let reference = characters(of: reference)
            for n in 1...order where reference.count >= n {
                statistics[n - 1].add(hypothesis: hypothesis, reference: reference, n, &counter)
            }
        }
        return score(statistics)
    }

    /// The settings in sacreBLEU's form; `version` is this program's.
    public static func signature(version: String) -> String {
        "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:strata-\(version)"
    }

    private static func characters(of segment: String) -> [UInt32] {
        segment.unicodeScalars.compactMap { Whitespace.contains($0) ? nil : $0.value }
    }

    /// Precision and recall are averaged over the orders that both sides have, then combined.
    private static func score(_ statistics: [OrderStatistics]) -> Double {
        var (precision, recall, orders) = (0.0, 0.0, 0.0)
        for counts in statistics where counts.hypothesis > 0 && counts.reference > 0 {
            precision += Double(counts.matches) / Double(counts.hypothesis)
            recall += Double(counts.matches) / Double(counts.reference)
            orders += 1
        }
        guard orders > 0, precision + recall > 0 else { return 0 }
        precision /= orders
        recall /= orders
        let factor = beta * beta
        return 100 * (1 + factor) * precision * recall / (factor * precision + recall)
    }

    /// Counts of the n-grams of one order over the segments whose reference has any.
    private struct OrderStatistics {
        var hypothesis = 0
        var reference = 0
        var matches = 0

        mutating func add(hypothesis: [UInt32], reference: [UInt32], _ n: Int, _ counter: inout NGramCounter) {
            self.reference += reference.count - n + 1
            guard hypothesis.count >= n else { return }
            self.hypothesis += hypothesis.count - n + 1
            counter.removeAll()
            for start in 0...reference.count - n { counter.insert(nGram(reference, start, n)) }
            for start in 0...hypothesis.count - n where counter.remove(nGram(hypothesis, start, n)) { matches += 1 }
        }

        /// Exact: a character takes 21 bits, so that three fit each half.
        private func nGram(_ characters: [UInt32], _ start: Int, _ n: Int) -> NGramCounter.NGram {
            var nGram = NGramCounter.NGram(high: 0, low: 0)
            for character in characters[start..<start + n] {
                nGram.high = nGram.high << 21 | nGram.low >> 42
                nGram.low = (nGram.low << 21 | UInt64(character)) & (1 << 63 - 1)
            }
            nGram.high &= 1 << 63 - 1
            return nGram
        }
    }
}
