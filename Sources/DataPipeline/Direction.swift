/// A translation direction, written `eng-cat`.
public struct Direction: Hashable, Sendable, CustomStringConvertible {
    public let source: String
    public let target: String

    public init(source: String, target: String) {
        self.source = source
        self.target = target
    }

    /// Reads text of the form `eng-cat`: two different language codes joined by a hyphen, or by two hyphens.
    ///
    /// Where codes have hyphens themselves, one hyphen does if only one reading has well-formed codes on both sides
    /// (`en-pt-BR`, `sr-Latn-en`); two hyphens always do (`en--pt-br`). nil if the text is no direction, or has several readings.
    public init?(_ text: String) {
        let readings = Self.readings(of: text)
        let clear =
            readings.count == 1
            ? readings : readings.filter { LanguageCode.isWellFormed($0.source) && LanguageCode.isWellFormed($0.target) }
        guard clear.count == 1 else { return nil }
        self = clear[0]
    }

    /// Every way to read a text as two different languages.
    static func readings(of text: String) -> [Direction] {
        func reading(_ source: Substring, _ target: Substring) -> Direction? {
            guard source != target, LanguageCode.isValid(source), LanguageCode.isValid(target) else { return nil }
            return Direction(source: String(source), target: String(target))
        }
        if let separator = text.firstRange(of: "--") {
            return [reading(text[..<separator.lowerBound], text[separator.upperBound...])].compactMap { $0 }
        }
        return text.indices.filter { text[$0] == "-" }
            .compactMap { reading(text[..<$0], text[text.index(after: $0)...]) }
    }

    /// The languages with one hyphen between them if that is read back as the same, else with two.
    public var description: String {
        let short = "\(source)-\(target)"
        guard source.contains("-") || target.contains("-") else { return short }
        return Direction(short) == self ? short : "\(source)--\(target)"
    }

    public var reversed: Direction { Direction(source: target, target: source) }
}
