import Autograd

// The number that a stratum's contribution is multiplied by.

extension Stratum {
    /// What the outputs of a decision's choices are weighted by before the stratum's own scale, flat.
    func unscaledWeights(_ decision: RoutingDecision, _ factors: [Float]?) -> [Float] {
        factors.map { zip(decision.weights, $0).map(*) } ?? decision.weights
    }

    /// `weights`, times the scale.
    func scaled(_ weights: [Float]) -> [Float] {
        guard let scale else { return weights }
        let factor = scale.value[0, 0]
        return weights.map { $0 * factor }
    }

    /// Adds the scale's gradient from that of the scaled weights, which becomes that of the unscaled ones: for y = Σ s wₑ FFNₑ,
    /// ds = Σ wₑ ⟨dy, FFNₑ⟩.
    func unscale(_ dweights: inout [Float], unscaled weights: @autoclosure () -> [Float]) {
        guard let scale else { return }
        if scale.isTrained {
            let sum = zip(dweights, weights()).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
            scale.gradient[0, 0] += Float(sum)
        }
        let factor = scale.value[0, 0]
        for choice in dweights.indices { dweights[choice] *= factor }
    }
}
