/// The longest translation that is looked for, in tokens.
public struct LengthLimit: Sendable {
    /// Tokens for a source token.
    public var ratio: Float
    /// Tokens for any sentence.
    public var margin: Int

    public init(ratio: Float = 3, margin: Int = 20) {
        self.ratio = ratio
        self.margin = margin
    }

    /// The most tokens of a translation, at least 1; `source` counts all tokens, special ones included.
    public func longest(source: Int) -> Int {
        max(1, Int(min(Float(source) * ratio, 1e6)) + margin)
    }
}
