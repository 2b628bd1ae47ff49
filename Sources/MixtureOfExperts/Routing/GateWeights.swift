import TensorCore

/// The weights of choices, and their gradient: scores, over the sum of a token's choices or of those that were kept.
enum GateWeights {
    /// g of each choice, flat; 0 where it was not kept.
    static func forward(
        _ choices: RoutingChoices, kept: [Bool], _ gate: GateScores, _ normalization: GateNormalization
    ) -> [Float] {
        let lower = gate.visible.lowerBound
        var weights = [Float](repeating: 0, count: kept.count)
        for token in 0..<choices.tokens {
            let scores = gate.scores.row(token), range = choices.range(ofToken: token)
            var total: Float = 0
            for choice in range {
                let score = scores[Int(choices.experts[choice]) - lower]
                if kept[choice] { weights[choice] = score }
                if kept[choice] || normalization == .beforeDrop { total += score }
            }
            guard normalization != .never else { continue }
            let inverse = 1 / max(total, .ulpOfOne)
            for choice in range { weights[choice] *= inverse }
        }
        return weights
    }

    /// Adds the gradient of the scores to `dscores` [T, V] from that of the weights, flat. With n = Σ s over the normalised
    /// choices: g_e = s_e / n, so ds_e = (dg_e − Σ g dg over the kept) / n for every normalised choice, where dg is 0 for a dropped
    /// one.
    static func backward(
        _ decision: RoutingDecision, dweights: [Float], _ normalization: GateNormalization, addingTo dscores: Tensor
    ) {
        precondition(dweights.count == decision.experts.count)
        let lower = decision.visible.lowerBound
        func isNormalized(_ choice: Int) -> Bool { normalization == .beforeDrop || decision.kept[choice] }
        for token in 0..<decision.tokens {
            let scores = decision.gate.scores.row(token), ds = dscores.row(token), range = decision.choices(ofToken: token)
            guard normalization != .never else {
                for choice in range where decision.kept[choice] {
                    ds[Int(decision.experts[choice]) - lower] += dweights[choice]
                }
                continue
            }
            var total: Float = 0, inner: Float = 0
            for choice in range where isNormalized(choice) {
                total += scores[Int(decision.experts[choice]) - lower]
                if decision.kept[choice] { inner += decision.weights[choice] * dweights[choice] }
            }
            guard total > .ulpOfOne else { continue }
            for choice in range where isNormalized(choice) {
                let dg = decision.kept[choice] ? dweights[choice] : 0
                ds[Int(decision.experts[choice]) - lower] += (dg - inner) / total
            }
        }
    }
}
