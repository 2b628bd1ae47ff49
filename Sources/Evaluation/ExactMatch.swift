/// The share of segments that are their reference, character for character.
public enum ExactMatch {
    /// In percent, 0 … 100; 0 for no segments. White space around a segment does not count.
    ///
    /// - Precondition: as many hypotheses as references.
    public static func corpus(hypotheses: [String], references: [String]) -> Double {
        precondition(hypotheses.count == references.count, "a reference for each hypothesis")
        guard !hypotheses.isEmpty else { return 0 }
        let matches = zip(hypotheses, references).count { trimmed($0).elementsEqual(trimmed($1)) }
        return 100 * Double(matches) / Double(hypotheses.count)
    }

    private static func trimmed(_ segment: String) -> Substring.UnicodeScalarView {
        var scalars = segment[...].unicodeScalars
        while let first = scalars.first, Whitespace.contains(first) { scalars.removeFirst() }
        while let last = scalars.last, Whitespace.contains(last) { scalars.removeLast() }
        return scalars
    }
}
