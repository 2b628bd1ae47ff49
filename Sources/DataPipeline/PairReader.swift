/// One numbered pair of lines as found, before any policy.
struct LinePair {
    enum Side { case source, target }

    /// The line's number, from 1.
    let number: Int
    let source: TextLine
    let target: TextLine
    /// What makes the line no pair at all, whatever its text; nil if nothing does.
    var malformed: String?
}

/// A stream of line pairs, read once from front to back.
protocol PairReader: AnyObject {
    func next() throws -> LinePair?
    /// `file:line` of one side of a pair.
    func location(_ number: Int, _ side: LinePair.Side) -> String
    /// Which of the part's corpora a pair is of.
    func corpus(_ number: Int) -> Int
}

extension PairReader {
    func corpus(_ number: Int) -> Int { 0 }
}

/// Line pairs that can be read any number of times, from the start each time.
protocol PairSource: Sendable {
    func makeReader() throws -> any PairReader
    /// The files behind it, for the fingerprint.
    var files: [String] { get }
}
