import Autograd
import ConfigurationForms
import MixtureOfExperts
import NeuralLayers
import TensorCore

/// Multi-head mixtures (MH-MoE; "MH-MoE: Multi-Head Mixture-of-Experts", arXiv 2411.16205, after 2404.15045): each row is cut into
/// H sub-tokens of width c = d / H, which pass the strata one by one, each on a way of its own. A head layer stands before the first
/// stratum and a merge layer behind the last, once a block: y = x + merge(what the strata added to the sub-tokens of head(h)).
/// Parameters `<block>.{head,merge}.{weight,bias}`, [d, d] and [d]; gates and experts, and LayerNorms from the second stratum on, are
/// of width c.
public struct MultiHead: WrappingMethod {
    /// H; 1: rows pass the strata whole, without these layers.
    public var heads = 1
    public var hasHeadLayer = true
    public var hasMergeLayer = true
    /// Whether what is merged is the sub-tokens with what the strata added to them, or the latter alone.
    public var hasSubTokenResidual = false

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        [
            .init("heads", \.heads, .integer(1...1024), isWritten: { $0.heads != 1 }),
            .init("head_layer", \.hasHeadLayer, .boolean, isWritten: { !$0.hasHeadLayer }),
            .init("merge_layer", \.hasMergeLayer, .boolean, isWritten: { !$0.hasMergeLayer }),
            .init("sub_token_residual", \.hasSubTokenResidual, .boolean, isWritten: { $0.hasSubTokenResidual }),
        ]
    }

    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        guard heads == 1 else { return }
        for (key, isDefault) in [
            ("head_layer", hasHeadLayer), ("merge_layer", hasMergeLayer), ("sub_token_residual", !hasSubTokenResidual),
        ] {
            problems.require(
                isDefault, "\(path).\(key)", "\(path).heads",
                text: "must be left out with \(path).heads: 1, where there are no sub-tokens")
        }
    }

    public func addition(to configuration: MixtureConfiguration) -> String? { heads > 1 ? "\(heads) heads" : nil }

    public var rowsPerToken: Int { heads }

    public func wrapper(of block: BlockSite, store: ParameterStore) -> (any BlockWrapper)? {
        heads > 1 ? SubTokens(self, block, store: store) : nil
    }

    /// The head layer's output, the strata's, and what they added.
    public func keptFloats(dim: Int, hidden: Int) -> Int { heads > 1 ? 3 * dim : 0 }

    /// Distinct experts that the sub-tokens of a token chose at a gate.
    public func figures(_ decision: RoutingDecision) -> [BlockFigure] {
        guard heads > 1 else { return [] }
        var met: Set<Int32> = [], token: Int32 = -1, tokens = 0, distinct = 0
        func endToken() {
            distinct += met.count
            met.removeAll(keepingCapacity: true)
        }
        for (index, row) in decision.gate.rows.enumerated() {
            if row / Int32(heads) != token {
                endToken()
                (token, tokens) = (row / Int32(heads), tokens + 1)
            }
            met.formUnion(decision.experts[decision.choices(ofToken: index)])
        }
        endToken()
        return [
            BlockFigure("experts_per_token", tokens > 0 ? Float(distinct) / Float(tokens) : 0, weight: Float(tokens))
        ]
    }
}

private struct SubTokens: BlockWrapper {
    let method: MultiHead
    let head: Linear?
    let merge: Linear?

    init(_ method: MultiHead, _ block: BlockSite, store: ParameterStore) {
        self.method = method
        func layer(_ name: String, gain: Float) -> Linear {
            Linear(names: ["\(block.name).\(name)"], inputSize: block.dim, outputSizeEach: block.dim, gain: gain, store: store)
        }
        head = method.hasHeadLayer ? layer("head", gain: Float(0.5).squareRoot()) : nil
        merge = method.hasMergeLayer ? layer("merge", gain: 1) : nil
    }

    func callAsFunction(
        _ x: Variable, h: Variable, _ pass: ForwardPass, inner: Inner
    ) throws -> (output: Variable, figures: [BlockFigure]) {
        let parts = (head?(h, pass) ?? h).viewed(columns: x.columns / method.heads, pass)
        let mixed = try inner(parts, parts)
        let added = method.hasSubTokenResidual ? mixed : mixed.minus(parts, pass)
        let whole = added.viewed(columns: x.columns, pass)
        let y = merge?(whole, pass) ?? whole
        return (pass.tape.residualDropout(residual: x, y: y, bias: nil, mask: .none), [])
    }
}

extension Variable {
    /// The same elements as rows of another width.
    fileprivate func viewed(columns: Int, _ pass: ForwardPass) -> Variable {
        let context = pass.context
        return pass.tape.record(value.viewed(columns: columns), parameters: []) { [self] dy in
            receive(dy.viewed(columns: self.columns), context)
        }
    }

    fileprivate func minus(_ other: Variable, _ pass: ForwardPass) -> Variable {
        let context = pass.context, difference = context.uninitialized(rows, columns)
        let (a, b) = (value.buffer, other.value.buffer)
        for index in 0..<difference.count { difference.pointer[index] = a[index] - b[index] }
        return pass.tape.record(difference, parameters: []) { [self] dy in
            let negative = context.uninitialized(rows, columns)
            for index in 0..<negative.count { negative.pointer[index] = -dy.pointer[index] }
            receive(dy, context)
            other.receive(negative, context)
        }
    }
}

extension Tensor {
    fileprivate func viewed(columns: Int) -> Tensor {
        Tensor(storage: storage, offset: offset, rows: count / columns, columns: columns)
    }
}
