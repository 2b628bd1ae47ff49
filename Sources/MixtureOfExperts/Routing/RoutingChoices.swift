/// What tokens and experts choose at a gate, before capacity: a ragged list, token after token, best first.
public struct RoutingChoices: Sendable {
    /// Where choices begin, [T + 1]: those of token t are offsets[t] ..< offsets[t + 1].
    public private(set) var offsets: [Int32] = [0]
    /// Global ids of the experts chosen, flat.
    public private(set) var experts: [Int32] = []
    /// Leading experts of the tokens, [T]: their strata decide where tokens go next, chosen or not. −1: none; the token leaves.
    public private(set) var leading: [Int32] = []

    /// Room for `choicesPerToken` choices of each token; there may be more or fewer.
    public init(tokens: Int, choicesPerToken: Int) {
        offsets.reserveCapacity(tokens + 1)
        leading.reserveCapacity(tokens)
        experts.reserveCapacity(tokens * choicesPerToken)
    }

    /// Adds a choice of the token that is being told.
    public mutating func add(_ expert: Int) { experts.append(Int32(expert)) }

    /// Ends the token that is being told.
    public mutating func endToken(leading expert: Int) {
        leading.append(Int32(expert))
        offsets.append(Int32(experts.count))
    }

    public var tokens: Int { leading.count }

    public func range(ofToken token: Int) -> Range<Int> { Int(offsets[token])..<Int(offsets[token + 1]) }

    /// The most choices of any token.
    var longest: Int { (0..<tokens).reduce(0) { max($0, range(ofToken: $1).count) } }
}
