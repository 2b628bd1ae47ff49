/// The share of segments that are their reference, character for character, where white space at the ends does not count and any
/// run of it elsewhere is one space: text is tokenized without it.
public enum ExactMatch {
    /// The share of the hypotheses that match, in percent, 0 … 100; 0 for no segments.
    ///
    /// - Precondition: as many hypotheses as references.
    public static func corpus(hypotheses: [String], references: [String]) -> Double {
        precondition(hypotheses.count == references.count, "a reference for each hypothesis")
        guard !hypotheses.isEmpty else { return 0 }
        let equal = zip(hypotheses, references).count { Self.matches($0, $1) }
        return 100 * Double(equal) / Double(hypotheses.count)
    }

    /// Whether a segment is its reference.
    public static func matches(_ hypothesis: String, _ reference: String) -> Bool { words(hypothesis) == words(reference) }

    private static func words(_ segment: String) -> [[Unicode.Scalar]] {
        segment.unicodeScalars.split(whereSeparator: Whitespace.contains).map(Array.init)
    }
}
