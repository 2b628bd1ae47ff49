import Autograd
import TensorCore

/// What scores the rows at a stratum.
public protocol Gate {
    /// A row for each visible expert, [V, w].
    var weight: Parameter { get }
    /// Multiply-adds of a row's way forward; backward has twice as many.
    var work: Int { get }
    /// What an expert's logit must exceed for a token to choose it, [V]; nil for a gate without thresholds.
    var thresholds: [Float]? { get }
    /// rows [T, w] → logits [T, V]; −∞ for an expert that nobody may choose.
    func logits(_ rows: Tensor, _ context: ComputeContext) -> Tensor
    /// Adds to the gradients of the parameters and to that of the rows, `drows` [T, w], from those of the logits, [T, V], and of
    /// the thresholds, [V], which are none for a gate without.
    func backward(
        _ dlogits: Tensor, dthresholds: [Float], rows: Tensor, logits: Tensor, addingTo drows: Tensor, _ context: ComputeContext
    )
    /// Losses of its parameters alone, before their weights, whatever rows there are.
    var losses: [BlockFigure] { get }
    /// Adds `scale` × the gradient of each of these losses times its weight.
    func addLossGradient(scale: Float)
}

/// A method with gates of its own kind, for rules that leave them to others.
public protocol GatingMethod: MixtureMethod {
    /// The gate of a stratum; nil where the configuration makes no use of the method.
    func gate(of site: GateSite, store: ParameterStore) -> (any Gate)?
}

extension GateSite {
    /// The rule's gate, or a method's, or a linear one.
    func gate(store: ParameterStore) -> any Gate {
        if let gate = configuration.rule.gate(of: self, store: store) { return gate }
        // Each is asked once: it adds parameters.
        for method in configuration.methods(for: (any GatingMethod).self) {
            if let gate = method.gate(of: self, store: store) { return gate }
        }
        return LinearGate(self, store: store)
    }
}

extension Gate {
    public var thresholds: [Float]? { nil }
    public var losses: [BlockFigure] { [] }
    public func addLossGradient(scale: Float) {}
}

/// W h (5), without bias: parameter `<gate>.weight` [V, w].
struct LinearGate: Gate {
    let weight: Parameter

    init(_ site: GateSite, store: ParameterStore) {
        weight = store.add(
            Parameter(
                weights: ["\(site.name).weight"], outputsEach: site.visible.count, inputs: site.dim,
                initializer: .uniform(bound: 1 / Float(site.dim).squareRoot())))
    }

    var work: Int { weight.rows * weight.columns }

    func logits(_ rows: Tensor, _ context: ComputeContext) -> Tensor {
        let logits = context.uninitialized(rows.rows, weight.rows)
        MatrixProduct.forward(context, x: rows, w: weight.value, into: logits)
        return logits
    }

    func backward(
        _ dlogits: Tensor, dthresholds: [Float], rows: Tensor, logits: Tensor, addingTo drows: Tensor, _ context: ComputeContext
    ) {
        if weight.isTrained { MatrixProduct.backwardWeight(context, dy: dlogits, x: rows, into: weight.gradient) }
        MatrixProduct.backwardInput(context, dy: dlogits, w: weight.value, accumulate: true, into: drows)
    }
}
