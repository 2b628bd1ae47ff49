import Autograd
import ConfigurationForms
import Foundation
import MixtureOfExperts
import NeuralLayers
import TensorCore

/// Adapters over one network (PESC, "Parameter-Efficient Sparsity Crafting", arXiv 2401.02731): a block's feed-forward network is
/// shared, and what its experts are is an adapter each, behind it. As all copies of the network would be equal, every token passes
/// it once: u = FFN(h), x + u; an expert adds scaling · σ(u D) U (equations 7 and 8 without the residual part, which is x + u
/// already). U begins at 0: then the block is the dense network, whatever is routed or dropped.
///
/// With several strata (Strata's own) gate 1 reads h, a later one the LayerNorm of the rows that strata have added to, and all
/// adapters read u. Parameters `<block>.shared.{fc1,fc2}.*` and `<block>.experts.{e}.adapter.{down,up}.weight`, [a, d] and [d, a].
public struct Adapters: ExpertMethod, EntryMethod {
    public enum Activation: String, CaseIterable, Sendable {
        /// x Φ(x), exact.
        case gelu
        case relu
    }

    public struct Settings: Equatable, Sendable {
        /// a, the width of an adapter.
        public var dim = 64
        /// What an adapter's part is multiplied by.
        public var scaling: Float = 1
        public var activation = Activation.gelu

        public init() {}
    }

    /// nil: experts are networks of their own.
    public var settings: Settings?

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        let settings = ConfigurationForm<Settings>.section(
            [
                .init("dim", \.dim, .integer(1...1_048_576)),
                .init("scaling", \.scaling, .number(.above(0))),
                .init("activation", \.activation, .choice),
            ],
            over: Settings())
        return [.init("adapters", \.settings, .either("none", or: settings), isWritten: { $0.settings != nil })]
    }

    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        guard settings != nil else { return }
        let key = "\(path).adapters"
        problems.require(
            configuration.expertWidths == nil, key,
            text: "must be none where experts have hidden widths of their own: adapters have one width, \(key).dim")
        problems.require(
            configuration.strataOrder == .stratified, key,
            text: "must be none where strata are stacked: adapters add to what the shared network made of a token")
        problems.require(
            configuration.rowsPerToken == 1, key,
            text: "must be none where rows are cut into parts: the shared network reads whole rows")
    }

    public func addition(to configuration: MixtureConfiguration) -> String? { settings.map { "adapters of \($0.dim)" } }

    public var blockNames: [String] { settings == nil ? [] : ["shared", "experts"] }

    public func expert(_ id: Int, name: String, of block: BlockSite, store: ParameterStore) -> (any ExpertNetwork)? {
        settings.map { Adapter(name: "\(name).adapter", $0, dim: block.dim, store: store) }
    }

    /// Activations, and what they are of.
    public func keptFloats(_ configuration: MixtureConfiguration) -> Int? { settings.map { 2 * $0.dim } }

    public func entry(of block: BlockSite, store: ParameterStore) -> (any EntryNetwork)? {
        settings == nil ? nil : SharedNetwork(block, store: store)
    }

    /// The hidden layer, u, and x + u.
    public func keptFloats(dim: Int, hidden: Int) -> Int { settings == nil ? 0 : hidden + 2 * dim }
}

/// u = FFN(h) and x + dropout(u).
private struct SharedNetwork: EntryNetwork {
    let network: FeedForward
    let dropout: Float

    init(_ block: BlockSite, store: ParameterStore) {
        network = FeedForward(name: "\(block.name).shared", dim: block.dim, ffnDim: block.ffnDim, store: store)
        dropout = block.dropout
    }

    func callAsFunction(_ x: Variable, h: Variable, _ pass: ForwardPass) -> (rows: Variable, read: Variable) {
        // Added to nothing and without dropout it is what adapters read.
        let zeros = Variable(pass.context.zeros(x.rows, x.columns))
        let u = network(h, addedTo: zeros, pass, mask: .none)
        // `residualDropout` writes over what it adds, and adapters read u still.
        let copy = pass.tape.record(pass.context.copy(u.value), parameters: []) { [context = pass.context] du in
            u.receive(du, context)
        }
        let mask = pass.dropout(dropout, purpose: .residual)
        return (pass.tape.residualDropout(residual: x, y: copy, bias: nil, mask: mask), u)
    }
}

/// scaling · σ(u D) U, with D and U as `down` [a, d] and `up` [d, a]. Forward leaves u D and, beside it, its activation times
/// scaling.
private struct Adapter: ExpertNetwork {
    let down: Parameter
    let up: Parameter
    let scaling: Float
    let activation: Adapters.Activation

    init(name: String, _ settings: Adapters.Settings, dim: Int, store: ParameterStore) {
        (scaling, activation) = (settings.scaling, settings.activation)
        down = store.add(
            Parameter(
                weights: ["\(name).down.weight"], outputsEach: settings.dim, inputs: dim, placement: .expert,
                initializer: .uniform(bound: 1 / Float(dim).squareRoot())))
        up = store.add(
            Parameter(
                weights: ["\(name).up.weight"], outputsEach: dim, inputs: settings.dim, placement: .expert,
                initializer: .constant(0)))
    }

    var outputParameters: [Parameter] { [up] }
    private var dim: Int { down.columns }
    private var width: Int { down.rows }
    var hiddenWidth: Int { 2 * width }
    var work: Int { 2 * dim * width }

    func hidden(_ rows: UnsafePointer<Float>, count: Int, into hidden: UnsafeMutablePointer<Float>) {
        GEMM.multiply(
            precision: down.precision, m: count, n: width, k: dim, GEMM.Factor(rows, stride: dim),
            GEMM.Factor(down.value.pointer, stride: dim, transposed: true), into: hidden, stride: hiddenWidth)
        for row in 0..<count {
            let inputs = hidden + row * hiddenWidth, activations = inputs + width
            for unit in 0..<width { activations[unit] = scaling * activation.value(inputs[unit]) }
        }
    }

    func outputs(_ hidden: UnsafePointer<Float>, count: Int, into outputs: UnsafeMutablePointer<Float>) {
        GEMM.multiply(
            precision: down.precision, m: count, n: dim, k: width, GEMM.Factor(hidden + width, stride: hiddenWidth),
            GEMM.Factor(up.value.pointer, stride: width, transposed: true), into: outputs, stride: dim)
    }

    func backward(
        _ doutputs: UnsafePointer<Float>, hidden: UnsafePointer<Float>, count: Int,
        intoHidden dhidden: UnsafeMutablePointer<Float>, intoRows drows: UnsafeMutablePointer<Float>
    ) {
        GEMM.multiply(
            precision: down.precision, m: count, n: width, k: dim, GEMM.Factor(doutputs, stride: dim),
            GEMM.Factor(up.value.pointer, stride: width),
            into: dhidden, stride: hiddenWidth)
        for row in 0..<count {
            let inputs = hidden + row * hiddenWidth, gradients = dhidden + row * hiddenWidth
            for unit in 0..<width { gradients[unit] *= scaling * activation.derivative(inputs[unit]) }
        }
        GEMM.multiply(
            precision: down.precision, m: count, n: dim, k: width, GEMM.Factor(dhidden, stride: hiddenWidth),
            GEMM.Factor(down.value.pointer, stride: dim),
            into: drows, stride: dim)
    }

    /// Rows of D and of U.
    var gradientRows: [Int] { [width, dim] }

    func addGradient(_ index: Int, band: Range<Int>, _ pass: ExpertBackward) {
        if index == 0 {
            pass.addGradient(of: down, rows: band, pass.dhidden, dyStride: hiddenWidth, pass.rows)
        } else {
            pass.addGradient(of: up, rows: band, pass.doutputs, pass.hidden + width, xStride: hiddenWidth)
        }
    }
}

extension Adapters.Activation {
    fileprivate func value(_ x: Float) -> Float {
        switch self {
        case .gelu: x * Self.normalShare(below: x)
        case .relu: max(x, 0)
        }
    }

    /// Φ(x) + x φ(x); of the rectifier 0 at 0.
    fileprivate func derivative(_ x: Float) -> Float {
        switch self {
        case .gelu:
            let density: Float = exp(-0.5 * x * x) * 0.398942280401432678
            return Self.normalShare(below: x) + x * density
        case .relu:
            return x > 0 ? 1 : 0
        }
    }

    /// Φ(x).
    private static func normalShare(below x: Float) -> Float {
        let half: Float = 0.5
        return half * (1 + erf(x * half.squareRoot()))
    }
}
