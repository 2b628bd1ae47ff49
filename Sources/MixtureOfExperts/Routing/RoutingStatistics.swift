/// What the gates of one or more blocks did with the tokens they saw: sums, so that groups and ranks can be added up.
public struct RoutingStatistics: Equatable, Sendable {
    /// Tokens that entered a block, and strata they passed there: the quotient is the requested capacity, RC.
    public var tokens = 0
    public var strataPassed = 0
    /// Choices made, and those that exceeded a capacity.
    public var choices = 0
    public var dropped = 0
    /// Rows that each stratum's gate sent to each expert, by global id: [stratum][expert].
    public var load: [[Int]]
    /// What the gates wanted, as `load`: with the choices that exceeded a capacity.
    public var chosen: [[Int]]

    private let strata: [Int]

    public init(strata: [Int]) {
        self.strata = strata
        load = strata.map { _ in [Int](repeating: 0, count: strata.reduce(0, +)) }
        chosen = load
    }

    public var requestedCapacity: Double { tokens > 0 ? Double(strataPassed) / Double(tokens) : 0 }
    public var droppedFraction: Double { choices > 0 ? Double(dropped) / Double(choices) : 0 }

    /// How uneven the rows of a gate's visible experts are: the busiest one's over the mean; 0 where there are none.
    public static func busiestOverMean(_ rows: some Collection<Int>) -> Double {
        let sum = rows.reduce(0, +)
        return sum > 0 ? Double(rows.max() ?? 0) * Double(rows.count) / Double(sum) : 0
    }

    mutating func add(_ decision: RoutingDecision, stratum: Int) {
        if stratum == 0 { tokens += decision.tokens }
        strataPassed += decision.tokens
        for (expert, kept) in zip(decision.experts, decision.kept) {
            choices += 1
            chosen[stratum][Int(expert)] += 1
            if kept { load[stratum][Int(expert)] += 1 } else { dropped += 1 }
        }
    }

    /// What is added may be of smaller strata.
    public static func += (left: inout RoutingStatistics, right: RoutingStatistics) {
        left.tokens += right.tokens
        left.strataPassed += right.strataPassed
        left.choices += right.choices
        left.dropped += right.dropped
        let places = expertPlaces(of: right.strata, in: left.strata)
        for stratum in right.strata.indices {
            for (expert, place) in places.enumerated() {
                left.load[stratum][place] += right.load[stratum][expert]
                left.chosen[stratum][place] += right.chosen[stratum][expert]
            }
        }
    }

    /// All counts in a fixed order, to be added up with those of other ranks; as many come back.
    public var counts: [Int] {
        get { [tokens, strataPassed, choices, dropped] + (load + chosen).joined() }
        set {
            (tokens, strataPassed, choices, dropped) = (newValue[0], newValue[1], newValue[2], newValue[3])
            var next = 4
            func take(_ table: inout [[Int]]) {
                for stratum in table.indices {
                    table[stratum] = Array(newValue[next..<next + table[stratum].count])
                    next += table[stratum].count
                }
            }
            take(&load)
            take(&chosen)
        }
    }
}
