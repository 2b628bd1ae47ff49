/// A score of a corpus against one reference a segment, as sacreBLEU computes it: counts of each segment, and a figure of their
/// sums.
public protocol CorpusMetric: Sendable {
    /// What tables call it.
    var name: String { get }
    /// The settings in sacreBLEU's form; `version` is this program's.
    func signature(version: String) -> String
    /// The counts of each segment. There are as many hypotheses as references.
    func statistics(hypotheses: [String], references: [String]) -> [[Double]]
    /// The score, 0 … 100 but for TER, of counts that are sums over segments. In the precision of the counts: sacreBLEU's tests of
    /// significance resample in 32 bits, and whoever wants its figures must do so too.
    func score<Number: BinaryFloatingPoint>(_ sums: [Number]) -> Double
    /// Whether a larger score is the better one.
    var isHigherBetter: Bool { get }
}

extension CorpusMetric {
    public var isHigherBetter: Bool { true }

    /// The score of a corpus.
    ///
    /// - Precondition: as many hypotheses as references.
    public func corpus(hypotheses: [String], references: [String]) -> Double {
        score(ofSegments: statistics(hypotheses: hypotheses, references: references))
    }

    /// The score of segments' counts.
    public func score(ofSegments segments: [[Double]]) -> Double { score(sum(segments)) }

    /// Element by element; of no segments, the counts of an empty one.
    func sum(_ segments: [[Double]]) -> [Double] {
        guard let first = segments.first else { return statistics(hypotheses: [""], references: [""])[0] }
        return segments.dropFirst().reduce(into: first) { sum, counts in
            for index in counts.indices { sum[index] += counts[index] }
        }
    }
}
