import Autograd
import NeuralLayers
import TensorCore

/// What one expert computes, [n, d] → [n, d], row by row. `GroupedExperts` cuts the rows of a block's experts into pieces, and
/// the gradients of their parameters into bands, and calls each once: on any thread, several at a time.
public protocol ExpertNetwork {
    /// Floats per row that forward leaves for backward.
    var hiddenWidth: Int { get }
    /// Multiply-adds of a row's way forward; backward has twice as many.
    var work: Int { get }
    /// What forward leaves for backward, [n, hiddenWidth], from rows [n, d]; the same bits however rows are cut.
    func hidden(_ rows: UnsafePointer<Float>, count: Int, into hidden: UnsafeMutablePointer<Float>)
    /// The outputs [n, d] from what forward left, [n, hiddenWidth].
    func outputs(_ hidden: UnsafePointer<Float>, count: Int, into outputs: UnsafeMutablePointer<Float>)
    /// The gradient of the outputs [n, d] → that of the hidden floats [n, hiddenWidth] and of the rows [n, d].
    func backward(
        _ doutputs: UnsafePointer<Float>, hidden: UnsafePointer<Float>, count: Int,
        intoHidden dhidden: UnsafeMutablePointer<Float>,
        intoRows drows: UnsafeMutablePointer<Float>)
    /// The rows of each parameter gradient that may be computed apart, in bands.
    var gradientRows: [Int] { get }
    /// Adds rows `band` of parameter gradient `index` to `pass.gradient(of:)` of the parameters, from all rows of `pass`.
    func addGradient(_ index: Int, band: Range<Int>, _ pass: ExpertBackward)
    /// Parameters at whose zeros the outputs are 0 for every row, and have a gradient there: so an expert begins that is added
    /// while others train.
    var outputParameters: [Parameter] { get }
}

/// The rows of one expert that come from one source, in backward.
public struct ExpertBackward {
    /// The rank of the expert-parallel group that the rows come from: they are of one token group.
    public let source: Int
    public let count: Int
    /// Inputs of forward, [count, d].
    public let rows: UnsafePointer<Float>
    /// What forward left for backward, [count, hiddenWidth].
    public let hidden: UnsafePointer<Float>
    /// The gradient of `hidden`, [count, hiddenWidth].
    public let dhidden: UnsafePointer<Float>
    /// The gradient of the outputs, [count, d].
    public let doutputs: UnsafePointer<Float>

    /// Where the gradient of a parameter of the expert is added to: gradients of different token groups are kept apart, for they
    /// are added up in one order on any number of ranks.
    public func gradient(of parameter: Parameter) -> Tensor { parameter.gradient(source: source) }

    /// Adds rows `band` of the gradient of a weight w [out, in] of y = x wᵀ, from dy [count, out] and x [count, in], whose rows are
    /// `dyStride` and `xStride` apart (nil: out and in): nothing if it is frozen.
    public func addGradient(
        of weight: Parameter, rows band: Range<Int>, _ dy: UnsafePointer<Float>, dyStride: Int? = nil,
        _ x: UnsafePointer<Float>, xStride: Int? = nil
    ) {
        guard weight.isTrained else { return }
        GEMM.multiply(
            precision: weight.precision, m: band.count, n: weight.columns, k: count,
            GEMM.Factor(dy + band.lowerBound, stride: dyStride ?? weight.rows, transposed: true),
            GEMM.Factor(x, stride: xStride ?? weight.columns), accumulate: true,
            into: gradient(of: weight).row(band.lowerBound), stride: weight.columns)
    }
}

/// A method with experts of its own kind, or of widths of their own.
public protocol ExpertMethod: MixtureMethod {
    /// The expert of global id `id` in a block, with its parameters below `name`; nil: what the frame makes.
    func expert(_ id: Int, name: String, of block: BlockSite, store: ParameterStore) -> (any ExpertNetwork)?
    /// The hidden widths of experts, by global id; nil: that of a block's feed-forward network for each.
    func widths(_ configuration: MixtureConfiguration) -> [Int]?
    /// Floats per row that each of the method's experts leaves for backward; nil: as many as its hidden layer is wide.
    func keptFloats(_ configuration: MixtureConfiguration) -> Int?
}

extension ExpertMethod {
    public func expert(_ id: Int, name: String, of block: BlockSite, store: ParameterStore) -> (any ExpertNetwork)? { nil }
    public func widths(_ configuration: MixtureConfiguration) -> [Int]? { nil }
    public func keptFloats(_ configuration: MixtureConfiguration) -> Int? { nil }
}

/// w2 relu(w1 x + b1) + b2: the expert of the paper, with the layers of a feed-forward network.
public struct FeedForwardExpert: ExpertNetwork {
    public let network: FeedForward

    /// Parameters `<name>.{fc1,fc2}.{weight,bias}`.
    public init(name: String, dim: Int, ffnDim: Int, store: ParameterStore) {
        network = FeedForward(name: name, dim: dim, ffnDim: ffnDim, placement: .expert, store: store)
    }

    public init(network: FeedForward) { self.network = network }

    public var outputParameters: [Parameter] { [network.weight2, network.bias2] }
    private var dim: Int { network.weight1.columns }
    public var hiddenWidth: Int { network.weight1.rows }
    public var work: Int { 2 * dim * hiddenWidth }

    /// relu(w1 x + b1).
    public func hidden(_ rows: UnsafePointer<Float>, count: Int, into hidden: UnsafeMutablePointer<Float>) {
        network.weight1.multiply(rows, rows: count, epilogue: .rectifiedBias(network.bias1.value.pointer), into: hidden)
    }

    public func outputs(_ hidden: UnsafePointer<Float>, count: Int, into outputs: UnsafeMutablePointer<Float>) {
        network.weight2.multiply(hidden, rows: count, epilogue: .bias(network.bias2.value.pointer), into: outputs)
    }

    public func backward(
        _ doutputs: UnsafePointer<Float>, hidden: UnsafePointer<Float>, count: Int,
        intoHidden dhidden: UnsafeMutablePointer<Float>,
        intoRows drows: UnsafeMutablePointer<Float>
    ) {
        network.weight2.backwardInput(
            doutputs, rows: count, epilogue: .rectifierGradient(activation: hidden, stride: hiddenWidth), into: dhidden)
        network.weight1.backwardInput(dhidden, rows: count, into: drows)
    }

    /// Rows of the first layer and of the second, weights and biases together.
    public var gradientRows: [Int] { [hiddenWidth, dim] }

    public func addGradient(_ index: Int, band: Range<Int>, _ pass: ExpertBackward) {
        let isFirst = index == 0
        let (dy, x) = isFirst ? (pass.dhidden, pass.rows) : (pass.doutputs, pass.hidden)
        let (weight, bias) = isFirst ? (network.weight1, network.bias1) : (network.weight2, network.bias2)
        pass.addGradient(of: weight, rows: band, dy, x)
        guard bias.isTrained else { return }
        Elementwise.addColumnSums(
            dy, rows: pass.count, stride: weight.rows, columns: band, to: pass.gradient(of: bias).pointer)
    }
}
