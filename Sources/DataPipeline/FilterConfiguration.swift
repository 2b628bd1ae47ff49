/// Which training pairs are left out though they could be used. Text of valid and test is never filtered.
public struct FilterConfiguration: Equatable, Sendable {
    public enum Policy: String, CaseIterable, Sendable {
        case keep
        /// Leave the pair out and count it.
        case skip
    }

    /// The most tokens of the longer side for each token of the shorter; 0: any number.
    public var lengthRatio: Double = 0
    /// A pair that came before, in the same part of the text.
    public var duplicates = Policy.keep
    /// A pair with the same text on both sides.
    public var identical = Policy.keep
    /// A pair that valid or test has too.
    public var heldOut = Policy.keep

    public init() {}

    public static let none = FilterConfiguration()
}
