import Autograd
import ConfigurationForms
import Foundation
import MixtureOfExperts
import NeuralLayers
import TensorCore

/// Conditional MoE routing (CMR; "No Language Left Behind", arXiv 2207.04672): a sigmoid gate g of width 1 mixes a shared
/// feed-forward network and the mixture of experts, (1 − g) FFN(h) + g MoE(x), and a budget loss draws the mean of g to a
/// given share. Parameters `<block>.shared.{fc1,fc2}.*` and `<block>.cmr_gate.{weight,bias}`.
///
/// Gate and network read h = LayerNorm(x), the rows that the block's first stratum sees: with one stratum that is the published
/// method, and with several the gate weighs all that the strata added to a token.
public struct ConditionalRouting: WrappingMethod {
    public struct Settings: Equatable, Sendable {
        /// The share of the experts that the budget loss draws the gate's mean to.
        public var budget: Float = 0.8
        /// The weight of the budget loss.
        public var weight: Float = 0.01
        /// The probability that a token's gate is 0 in training: the token takes the shared network alone. In evaluation gates
        /// are multiplied by 1 minus it.
        public var gateDropout: Float = 0.1

        public init() {}
    }

    /// The method's settings; nil: no shared network and no gate.
    public var settings: Settings?

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        let settings = ConfigurationForm<Settings>.section(
            [
                .init("budget", \.budget, .number(.between(0, 1))),
                .init("weight", \.weight, .number(.atLeast(0))),
                .init("gate_dropout", \.gateDropout, .number(.from(0, below: 1))),
            ],
            over: Settings())
        return [
            .init(
                "conditional_routing", \.settings, .either("none", or: settings), isWritten: { $0.settings != nil })
        ]
    }

    public func addition(to configuration: MixtureConfiguration) -> String? { settings == nil ? nil : "CMR" }

    public var blockNames: [String] { settings == nil ? [] : ["shared"] }

    public func wrapper(of block: BlockSite, store: ParameterStore) -> (any BlockWrapper)? {
        settings.map { ConditionalMixture($0, block, store: store) }
    }

    /// The network keeps its hidden layer and its output; what is mixed into another output is one more.
    public func keptFloats(dim: Int, hidden: Int) -> Int { settings == nil ? 0 : hidden + 2 * dim }
}

private struct ConditionalMixture: BlockWrapper {
    let settings: ConditionalRouting.Settings
    let shared: FeedForward
    let gate: Linear
    let dropout: Float

    init(_ settings: ConditionalRouting.Settings, _ block: BlockSite, store: ParameterStore) {
        self.settings = settings
        dropout = block.dropout
        shared = FeedForward(name: "\(block.name).shared", dim: block.dim, ffnDim: block.ffnDim, store: store)
        gate = Linear(names: ["\(block.name).cmr_gate"], inputSize: block.dim, outputSizeEach: 1, store: store)
    }

    /// x [T, d], h = LayerNorm(x), and the mixture, x plus the experts' contributions → (1 − g) (x + FFN(h)) + g mixture, [T, d],
    /// with the budget loss |Σ g / T − budget| and the mean Σ g / T (both 0 for no tokens). In training a token's g is set to 0 with
    /// the configured probability, so that the shared network learns to do alone; what is kept is not scaled. In evaluation every
    /// g is scaled by what training keeps on average, so that the mean gate is the one that was trained.
    func callAsFunction(
        _ x: Variable, h: Variable, _ pass: ForwardPass, inner: Inner
    ) throws -> (output: Variable, figures: [BlockFigure]) {
        let context = pass.context, tokens = x.rows, mixture = try inner(x, h)
        let dense = shared(h, addedTo: x, pass, mask: pass.dropout(dropout, purpose: .sharedExpert))
        let logits = gate(h, pass)
        let open = logits.value.elements.map(Self.sigmoid)
        let gates = applied(open, pass)
        let mean = gates.reduce(0) { $0 + Double($1) } / Double(max(tokens, 1))
        let excess = tokens > 0 ? mean - Double(settings.budget) : 0
        let output = context.uninitialized(tokens, x.columns)
        InterpolationKernel.forward(context, from: dense.value, to: mixture.value, at: gates, into: output)
        let dbudget = pass.auxiliaryScale * settings.weight * (excess > 0 ? 1 : excess < 0 ? -1 : 0) / Float(max(tokens, 1))
        let result = pass.tape.record(output, parameters: []) { dout in
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
        return (
            result, [BlockFigure("budget", Float(abs(excess))), BlockFigure("conditional_gate_mean", Float(mean))]
        )
    }

    /// The gates as they weigh the experts.
    private func applied(_ gates: [Float], _ pass: ForwardPass) -> [Float] {
        guard settings.gateDropout > 0 else { return gates }
        guard pass.isTraining else { return gates.map { $0 * (1 - settings.gateDropout) } }
        let key = pass.key.derived(.conditionalGate)
        return gates.enumerated().map { key.uniform($0) < settings.gateDropout ? 0 : $1 }
    }

    private static func sigmoid(_ x: Float) -> Float { 1 / (1 + exp(-x)) }
}

extension RandomPurpose {
    fileprivate static let sharedExpert = RandomPurpose(number: 7)
    fileprivate static let conditionalGate = RandomPurpose(number: 8)
}
