import Autograd
import Foundation
import NeuralLayers
import TensorCore

/// Conditional MoE routing (CMR; "No Language Left Behind", arXiv 2207.04672): a sigmoid gate g of width 1 mixes a shared
/// feed-forward network and the mixture of experts, (1 − g) FFN(h) + g MoE(x), and a budget loss draws the mean of g to a
/// given share. Parameters `<name>.shared.{fc1,fc2}.*` and `<name>.cmr_gate.{weight,bias}`.
///
/// Gate and network read h = LayerNorm(x), the rows that the block's first stratum sees: with one stratum that is the published
/// method, and with several the gate weighs all that the strata added to a token.
public struct ConditionalMixture {
    public let configuration: ConditionalRouting
    public let shared: FeedForward
    public let gate: Linear
    private let dropout: Float

    init(name: String, configuration: ConditionalRouting, dim: Int, ffnDim: Int, dropout: Float, store: ParameterStore) {
        self.configuration = configuration
        self.dropout = dropout
        shared = FeedForward(name: "\(name).shared", dim: dim, ffnDim: ffnDim, store: store)
        gate = Linear(names: ["\(name).cmr_gate"], inputSize: dim, outputSizeEach: 1, store: store)
    }

    /// x [T, d], h = LayerNorm(x), and `mixture`, x plus the experts' contributions → (1 − g) (x + FFN(h)) + g mixture, [T, d],
    /// the budget loss |Σ g / T − budget|, and the mean Σ g / T (both 0 for no tokens). In training a token's g is set to 0 with
    /// the configured probability, so that the shared network learns to do alone; what is kept is not scaled. In evaluation every
    /// g is scaled by what training keeps on average, so that the mean gate is the one that was trained.
    func callAsFunction(
        _ x: Variable, h: Variable, mixture: Variable, _ pass: ForwardPass, lossScale: Float
    ) -> (output: Variable, budgetLoss: Float, gateMean: Float) {
        let context = pass.context, tokens = x.rows
        let dense = shared(h, addedTo: x, pass, mask: pass.dropout(dropout, purpose: .sharedExpert))
        let logits = gate(h, pass)
        let open = logits.value.elements.map(Self.sigmoid)
        let gates = applied(open, pass)
        let mean = gates.reduce(0) { $0 + Double($1) } / Double(max(tokens, 1))
        let excess = tokens > 0 ? mean - Double(configuration.budget) : 0
        let output = context.uninitialized(tokens, x.columns)
        InterpolationKernel.forward(context, from: dense.value, to: mixture.value, at: gates, into: output)
        let dbudget = lossScale * configuration.weight * (excess > 0 ? 1 : excess < 0 ? -1 : 0) / Float(max(tokens, 1))
        let result = pass.tape.record(output) { dout in
            let ddense = context.uninitialized(tokens, dout.columns), dmixture = context.uninitialized(tokens, dout.columns)
            let dgates = InterpolationKernel.backward(
                context, dout, from: dense.value, to: mixture.value, at: gates, intoFrom: ddense, intoTo: dmixture)
            let dlogits = context.uninitialized(tokens, 1)
            for token in 0..<tokens {
                // The derivative of the sigmoid is g (1 − g), times 0 where the gate was set to 0.
                dlogits[token, 0] = (dgates[token] + dbudget) * gates[token] * (1 - open[token])
            }
            dense.receive(ddense, context)
            mixture.receive(dmixture, context)
            logits.receive(dlogits, context)
        }
        return (result, Float(abs(excess)), Float(mean))
    }

    /// The gates as they weigh the experts.
    private func applied(_ gates: [Float], _ pass: ForwardPass) -> [Float] {
        guard configuration.gateDropout > 0 else { return gates }
        guard pass.isTraining else { return gates.map { $0 * (1 - configuration.gateDropout) } }
        let key = pass.key.derived(RandomPurpose.conditionalGate.rawValue)
        return gates.enumerated().map { key.uniform($0) < configuration.gateDropout ? 0 : $1 }
    }

    private static func sigmoid(_ x: Float) -> Float { 1 / (1 + exp(-x)) }
}
