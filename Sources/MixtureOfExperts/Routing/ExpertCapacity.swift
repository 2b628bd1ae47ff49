import TensorCore

/// Whose choices a full expert keeps. Within one rank of choices; all first choices queue before any second one.
public enum CapacityPriority: String, CaseIterable, Sendable {
    /// Earlier tokens first.
    case tokenOrder = "token_order"
    /// Tokens by the score of their first choice ("Scaling Vision with Sparse Mixture of Experts", arXiv 2106.05974): what is
    /// dropped is what the gate cares least about.
    case firstChoiceProbability = "first_choice_probability"
    /// Tokens by the score of the very choice that queues.
    case ownProbability = "own_probability"
}

/// How many choices an expert takes in one stratum of one token group; the rest is dropped.
public enum ExpertCapacity {
    /// C = factor × ceil(tokens / visible), rounded down; nil (dropless) for no factor.
    public static func limit(tokens: Int, visible: Int, factor: Float?) -> Int? {
        // A factor so large that the product is no integer limits nothing.
        factor.map { Int(exactly: ($0 * Float((tokens + visible - 1) / visible)).rounded(.down)) ?? .max }
    }

    /// Which choices are kept, flat: all r-th choices queue before any (r + 1)-th, each by `priority`, equal ones in token order.
    static func keep(_ choices: RoutingChoices, _ gate: GateScores) -> [Bool] {
        var kept = [Bool](repeating: true, count: choices.experts.count)
        guard let limit = gate.capacity else { return kept }
        let lower = gate.visible.lowerBound
        var taken = [Int](repeating: 0, count: gate.visible.count)
        func score(_ token: Int, rank: Int) -> Float {
            gate.scores[token, Int(choices.experts[Int(choices.offsets[token]) + rank]) - lower]
        }
        func ordered(rank: Int) -> [Int] {
            let tokens = (0..<choices.tokens).filter { choices.range(ofToken: $0).count > rank }
            guard gate.configuration.capacityPriority != .tokenOrder else { return tokens }
            let scores = tokens.map {
                score($0, rank: gate.configuration.capacityPriority == .ownProbability ? rank : 0)
            }
            return tokens.indices.sorted { (scores[$0], $1) > (scores[$1], $0) }.map { tokens[$0] }
        }
        for rank in 0..<choices.longest {
            for token in ordered(rank: rank) {
                let choice = Int(choices.offsets[token]) + rank, expert = Int(choices.experts[choice]) - lower
                if taken[expert] < limit { taken[expert] += 1 } else { kept[choice] = false }
            }
        }
        return kept
    }
}
