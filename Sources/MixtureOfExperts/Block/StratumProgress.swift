/// Where the tokens of a group stand in a block: all at the first stratum, then each at the one after that of its leading expert.
public struct StratumProgress {
    /// The stratum that each token is to enter next; the number of strata for one that has left.
    private var next: [Int]
    private let stratumOfExpert: [Int]
    /// Strata that each token may pass still; nil: as many as it asks for.
    private var left: [Int]?
    private let strata: Int

    /// `mostRounds`: strata that a token passes at most, at least 1; nil: all that it asks for.
    public init(_ configuration: MixtureConfiguration, tokens: Int, mostRounds: Int? = nil) {
        next = [Int](repeating: 0, count: tokens)
        stratumOfExpert = configuration.stratumOfExpert
        left = mostRounds.map { [Int](repeating: $0, count: tokens) }
        strata = configuration.strata.count
    }

    /// The tokens at a stratum, in order.
    public func tokens(at stratum: Int) -> [Int32] {
        next.indices.filter { next[$0] == stratum }.map { Int32($0) }
    }

    /// Moves `tokens` on as their gate decided, whether it dropped their choices or not.
    public mutating func advance(_ tokens: [Int32], by decision: RoutingDecision) {
        precondition(tokens.count == decision.tokens, "a gate decides for the tokens at its stratum")
        for (token, expert) in zip(tokens, decision.leading) {
            next[Int(token)] = expert < 0 ? strata : 1 + stratumOfExpert[Int(expert)]
        }
        guard left != nil else { return }
        for token in tokens.map({ Int($0) }) {
            left![token] -= 1
            if left![token] == 0 { next[token] = strata }
        }
    }
}
