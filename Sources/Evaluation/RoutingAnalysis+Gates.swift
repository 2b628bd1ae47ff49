// What the gates did, by direction and block. Gate i is that of stratum i: it sees the experts of stratum i and later.

extension RoutingAnalysis {
    /// Choices of each expert by one gate. expert_load.csv has a row for each expert that the gate sees.
    public struct GateLoad: Codable, Equatable, Sendable {
        public var direction: String
        public var side: Side
        public var layer: Int
        public var gate: Int
        /// Tokens that came to the gate.
        public var tokens: Int
        /// Tokens whose first choice an expert was, by global expert id, for all experts of the block. Their sum is `tokens`.
        public var first: [Int]
        /// Tokens whose second or a further choice an expert was; zeros with top-1.
        public var second: [Int]
        /// An expert's probability, mean over the tokens whose first choice it was, by global expert id; 0 without such tokens. nil
        /// in analyses of before it was kept.
        public var confidence: [Double]?
    }

    /// Whether there is a number of tokens for each expert that adds up with many others; a file may hold anything.
    public static func areCounts(_ counts: [Int], of experts: Int) -> Bool {
        counts.count == experts && counts.allSatisfy((0...1 << 36).contains)
    }

    /// Which experts tokens were sent to together. co_activation.csv and gate_pairs.csv have a row for each pair that occurs.
    public struct ExpertPairs: Codable, Equatable, Sendable {
        public var direction: String
        public var side: Side
        public var layer: Int
        /// [a][b], global expert ids: tokens that had both.
        public var counts: [[Int]]

        /// Whether it counts pairs of so many experts.
        public func isOf(_ experts: Int) -> Bool {
            counts.count == experts && counts.allSatisfy { RoutingAnalysis.areCounts($0, of: experts) }
        }
    }

    /// How undecided a gate is: a row of gate_entropy.csv.
    public struct GateEntropy: Codable, Equatable, Sendable {
        public var direction: String
        public var side: Side
        public var layer: Int
        public var gate: Int
        public var tokens: Int
        /// Experts that the gate sees.
        public var experts: Int
        /// −Σ p ln p of the gate's probabilities in nats, mean over its tokens; 0 to ln `experts`. 0 without tokens.
        public var entropy: Double
    }

    /// Choices that the training capacity would have dropped: a row of drops.csv. The capacity counts the tokens of groups of
    /// `training.tokens_per_group` as analysed, each of one direction.
    public struct GateDrops: Codable, Equatable, Sendable {
        public var direction: String
        public var side: Side
        public var layer: Int
        public var gate: Int
        /// Choices made: the sum of the gate's load.
        public var choices: Int
        /// Those beyond an expert's capacity; 0 where training is dropless.
        public var wouldBeDropped: Int
        /// wouldBeDropped / choices; 0 without choices.
        public var fraction: Double

        enum CodingKeys: String, CodingKey {
            case direction, side, layer, gate, choices, fraction
            case wouldBeDropped = "would_be_dropped"
        }
    }
}
