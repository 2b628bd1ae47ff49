import Autograd
import ConfigurationForms
import Foundation
import MixtureOfExperts
import TensorCore

/// Gates of two layers: logits M2 tanh(M1 h / ‖h‖), without biases (the trained router of MoEfication, arXiv 2110.01786, as its
/// released code has it). Parameters `<gate>.1.weight` [V, d] and `<gate>.2.weight` [V, V].
public struct TwoLayerGate: GatingMethod {
    public enum Kind: String, CaseIterable, Sendable {
        case linear
        /// Two layers.
        case mlp
    }

    public var kind = Kind.linear

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        [.init("gate", \.kind, .choice, isWritten: { $0.kind != .linear })]
    }

    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        problems.require(
            kind == .linear || configuration.rule.readsTopK, "\(path).gate", "\(path).routing",
            text: "must be linear with \(path).routing: \(configuration.routing), but is \(kind.rawValue)")
    }

    public func addition(to configuration: MixtureConfiguration) -> String? { kind == .mlp ? "gates of two layers" : nil }

    public func gate(of site: GateSite, store: ParameterStore) -> (any Gate)? {
        kind == .mlp ? RouterNetwork(site, store: store) : nil
    }
}

private struct RouterNetwork: Gate {
    let weight: Parameter
    private let weight2: Parameter

    init(_ site: GateSite, store: ParameterStore) {
        let count = site.visible.count
        weight = store.add(
            Parameter(
                weights: ["\(site.name).1.weight"], outputsEach: count, inputs: site.dim,
                initializer: .uniform(bound: 1 / Float(site.dim).squareRoot())))
        weight2 = store.add(
            Parameter(
                weights: ["\(site.name).2.weight"], outputsEach: count, inputs: count,
                initializer: .xavier(inputs: count, outputs: count)))
    }

    var work: Int { weight.count + weight2.count }

    func logits(_ rows: Tensor, _ context: ComputeContext) -> Tensor {
        let logits = context.uninitialized(rows.rows, weight2.rows)
        MatrixProduct.forward(context, x: hidden(directions(rows, context).units, context), w: weight2.value, into: logits)
        return logits
    }

    /// With u = h / ‖h‖ and z = tanh(M1 u): dz = M2ᵀ dlogits, through tanh times 1 − z², and dh = (du − ⟨u, du⟩ u) / ‖h‖.
    func backward(
        _ dlogits: Tensor, dthresholds: [Float], rows: Tensor, logits: Tensor, addingTo drows: Tensor, _ context: ComputeContext
    ) {
        let (units, inverses) = directions(rows, context), z = hidden(units, context)
        if weight2.isTrained { MatrixProduct.backwardWeight(context, dy: dlogits, x: z, into: weight2.gradient) }
        let dz = context.uninitialized(z.rows, z.columns)
        MatrixProduct.backwardInput(context, dy: dlogits, w: weight2.value, into: dz)
        for index in 0..<dz.count { dz.pointer[index] *= 1 - z.pointer[index] * z.pointer[index] }
        if weight.isTrained { MatrixProduct.backwardWeight(context, dy: dz, x: units, into: weight.gradient) }
        let dunits = context.uninitialized(rows.rows, rows.columns)
        MatrixProduct.backwardInput(context, dy: dz, w: weight.value, into: dunits)
        for token in 0..<rows.rows {
            let u = units.row(token), du = dunits.row(token), dh = drows.row(token)
            var along: Float = 0
            for column in 0..<rows.columns { along += u[column] * du[column] }
            for column in 0..<rows.columns { dh[column] += (du[column] - along * u[column]) * inverses[token] }
        }
    }

    /// h / ‖h‖ of each row, and 1 / ‖h‖.
    private func directions(_ rows: Tensor, _ context: ComputeContext) -> (units: Tensor, inverses: [Float]) {
        let units = context.copy(rows), ranges = (0..<rows.rows).map { $0 * rows.columns..<($0 + 1) * rows.columns }
        let inverses = Elementwise.sumsOfSquares(context, rows.buffer, chunks: ranges).map {
            Float(1 / max($0.squareRoot(), 1e-12))
        }
        for (token, inverse) in inverses.enumerated() {
            let row = units.row(token)
            for column in 0..<rows.columns { row[column] *= inverse }
        }
        return (units, inverses)
    }

    /// tanh(M1 u).
    private func hidden(_ units: Tensor, _ context: ComputeContext) -> Tensor {
        let z = context.uninitialized(units.rows, weight.rows)
        MatrixProduct.forward(context, x: units, w: weight.value, into: z)
        for index in 0..<z.count { z.pointer[index] = tanh(z.pointer[index]) }
        return z
    }
}
