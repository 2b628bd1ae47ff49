/// A translation direction, written `eng-cat`.
public struct Direction: Hashable, Sendable, CustomStringConvertible {
    public let source: String
    public let target: String

    public init(source: String, target: String) {
        self.source = source
        self.target = target
    }

    /// From text of the form `eng-cat`; nil if it is not two different language codes joined by a hyphen.
    public init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, parts[0] != parts[1],
            parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") } })
        else { return nil }
        self.init(source: parts[0], target: parts[1])
    }

    public var description: String { "\(source)-\(target)" }
}
