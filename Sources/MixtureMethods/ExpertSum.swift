import Autograd
import ConfigurationForms
import MixtureOfExperts
import NeuralLayers
import TensorCore

/// Experts that are parts of one network (MoEfication, "MoEfication: Transformer Feed-forward Layers are Mixtures of Experts", arXiv
/// 2110.01786): what a token's experts make is added up as it is, Σ W2[:, e] relu(W1[e, :] h + b1[e]), and the second bias once.
/// All experts together are the network.
///
/// With several strata (Strata's own) each reads LayerNorm_i of the rows that came into the block, and a token takes an expert once.
/// Parameters `<block>.experts.{e}.{fc1.weight,fc1.bias,fc2.weight}` and `<block>.output_bias`.
public struct ExpertSum: ExpertMethod, PassageMethod, WeightingMethod, WrappingMethod {
    public enum Combination: String, CaseIterable, Sendable {
        /// By the gates' weights.
        case weighted
        /// Every kept choice weighs 1: gates only select, and have no gradient through weights.
        case sum
    }

    public enum Input: String, CaseIterable, Sendable {
        /// Strata after the first read what those before have added to.
        case running
        /// Every stratum reads what came into the block.
        case entry
    }

    public var combination = Combination.weighted
    public var input = Input.running

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        [
            .init("combine", \.combination, .choice, isWritten: { $0.combination != .weighted }),
            .init("input", \.input, .choice, isWritten: { $0.input != .running }),
        ]
    }

    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        problems.require(
            input == .running || configuration.strataOrder == .stratified, "\(path).input",
            text: "must be running where strata are stacked, each of which reads what the one before made")
        guard combination == .sum else { return }
        let key = "\(path).combine"
        problems.require(
            configuration.gateNormalization == .never, "\(path).gate_normalization", key,
            text:
                "must be never with \(key): sum, where every choice weighs 1, but is \(configuration.gateNormalization.rawValue)"
        )
        problems.require(
            configuration.rule.readsTopK && configuration.rule.readsSelection, key, "\(path).routing",
            text:
                "must be weighted with \(path).routing: \(configuration.routing), which does not choose a token's best experts")
        problems.require(
            configuration.strataOrder == .stratified, key,
            text: "must be weighted where strata are stacked: there a token takes experts of every stratum")
        problems.require(
            configuration.rowsPerToken == 1, key,
            text: "must be weighted where rows are cut into parts: the bias that is added once is that of whole rows")
    }

    public var blockNames: [String] { combination == .sum ? ["experts"] : [] }

    public func addition(to configuration: MixtureConfiguration) -> String? { combination == .sum ? "summed experts" : nil }

    public var strataReadEntry: Bool { input == .entry }
    public var expertsAreTakenOnce: Bool { combination == .sum }
    public var weighting: (any ChoiceWeighting)? { combination == .sum ? EqualWeights() : nil }

    public func expert(_ id: Int, name: String, of block: BlockSite, store: ParameterStore) -> (any ExpertNetwork)? {
        guard combination == .sum else { return nil }
        let width = block.configuration.expertWidths?[id] ?? block.ffnDim
        return NeuronExpert(name: name, dim: block.dim, width: width, store: store)
    }

    public func wrapper(of block: BlockSite, store: ParameterStore) -> (any BlockWrapper)? {
        combination == .sum ? OutputBias(block, store: store) : nil
    }

    public func keptFloats(dim: Int, hidden: Int) -> Int { combination == .sum ? dim : 0 }
}

/// 1 for each choice that is kept; none of their gradients is a score's.
private struct EqualWeights: ChoiceWeighting {
    func weights(_ choices: RoutingChoices, kept: [Bool], _ gate: GateScores) -> [Float] { kept.map { $0 ? 1 : 0 } }
    func addGradient(_ decision: RoutingDecision, dweights: [Float], to dscores: Tensor) {}
}

/// The bias of the whole network's second layer, which every token has once.
private struct OutputBias: BlockWrapper {
    let bias: Parameter

    init(_ block: BlockSite, store: ParameterStore) {
        bias = store.add(Parameter(vectors: ["\(block.name).output_bias"], countEach: block.dim, initializer: .constant(0)))
    }

    func callAsFunction(
        _ x: Variable, h: Variable, _ pass: ForwardPass, inner: Inner
    ) throws -> (output: Variable, figures: [BlockFigure]) {
        let output = try inner(x, h), none = Variable(pass.context.zeros(x.rows, x.columns))
        return (pass.tape.residualDropout(residual: output, y: none, bias: bias, mask: .none), [])
    }
}

/// W2 relu(W1 h + b1): some of a network's hidden units, `fc1` [m, d] and `fc2` [d, m].
private struct NeuronExpert: ExpertNetwork {
    let weight1: Parameter
    let bias1: Parameter
    let weight2: Parameter

    init(name: String, dim: Int, width: Int, store: ParameterStore) {
        let initializer = ParameterInitializer.xavier(inputs: dim, outputs: width)
        weight1 = store.add(
            Parameter(
                weights: ["\(name).fc1.weight"], outputsEach: width, inputs: dim, placement: .expert, use: .factor,
                initializer: initializer))
        bias1 = store.add(
            Parameter(vectors: ["\(name).fc1.bias"], countEach: width, placement: .expert, initializer: .constant(0)))
        weight2 = store.add(
            Parameter(
                weights: ["\(name).fc2.weight"], outputsEach: dim, inputs: width, placement: .expert, use: .factor,
                initializer: initializer))
    }

    var outputParameters: [Parameter] { [weight2] }
    private var dim: Int { weight1.columns }
    var hiddenWidth: Int { weight1.rows }
    var work: Int { 2 * dim * hiddenWidth }

    func hidden(_ rows: UnsafePointer<Float>, count: Int, into hidden: UnsafeMutablePointer<Float>) {
        weight1.multiply(rows, rows: count, epilogue: .rectifiedBias(bias1.value.pointer), into: hidden)
    }

    func outputs(_ hidden: UnsafePointer<Float>, count: Int, into outputs: UnsafeMutablePointer<Float>) {
        weight2.multiply(hidden, rows: count, into: outputs)
    }

    func backward(
        _ doutputs: UnsafePointer<Float>, hidden: UnsafePointer<Float>, count: Int,
        intoHidden dhidden: UnsafeMutablePointer<Float>, intoRows drows: UnsafeMutablePointer<Float>
    ) {
        weight2.backwardInput(
            doutputs, rows: count, epilogue: .rectifierGradient(activation: hidden, stride: hiddenWidth), into: dhidden)
        weight1.backwardInput(dhidden, rows: count, into: drows)
    }

    /// Rows of the first layer, with its bias, and of the second.
    var gradientRows: [Int] { [hiddenWidth, dim] }

    func addGradient(_ index: Int, band: Range<Int>, _ pass: ExpertBackward) {
        guard index == 0 else { return pass.addGradient(of: weight2, rows: band, pass.doutputs, pass.hidden) }
        pass.addGradient(of: weight1, rows: band, pass.dhidden, pass.rows)
        guard bias1.isTrained else { return }
        Elementwise.addColumnSums(
            pass.dhidden, rows: pass.count, stride: hiddenWidth, columns: band, to: pass.gradient(of: bias1).pointer)
    }
}
