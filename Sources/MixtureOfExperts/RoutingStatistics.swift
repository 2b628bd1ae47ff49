/// What the gates of one or more blocks did with the tokens they saw: sums, so that groups and ranks can be added up.
public struct RoutingStatistics: Equatable, Sendable {
    /// Tokens that entered a block, and strata they passed there: the quotient is the requested capacity, RC.
    public var tokens = 0
    public var rounds = 0
    /// Choices made, and those that exceeded a capacity.
    public var choices = 0
    public var dropped = 0
    /// Rows that each stratum's gate sent to each expert, by global id: [stratum][expert].
    public var load: [[Int]]

    public init(strata: [Int]) {
        load = strata.map { _ in [Int](repeating: 0, count: strata.reduce(0, +)) }
    }

    public var roundsMean: Double { tokens > 0 ? Double(rounds) / Double(tokens) : 0 }
    public var droppedFraction: Double { choices > 0 ? Double(dropped) / Double(choices) : 0 }

    mutating func add(_ decision: RoutingDecision, stratum: Int) {
        if stratum == 0 { tokens += decision.tokens }
        rounds += decision.tokens
        for (expert, kept) in zip(decision.experts, decision.kept) where expert >= 0 {
            choices += 1
            if kept { load[stratum][Int(expert)] += 1 } else { dropped += 1 }
        }
    }

    public static func += (left: inout RoutingStatistics, right: RoutingStatistics) {
        left.tokens += right.tokens
        left.rounds += right.rounds
        left.choices += right.choices
        left.dropped += right.dropped
        for stratum in left.load.indices {
            for expert in left.load[stratum].indices { left.load[stratum][expert] += right.load[stratum][expert] }
        }
    }
}
