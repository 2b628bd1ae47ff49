import Autograd
import ConfigurationForms
import MixtureOfExperts
import NeuralLayers
import TensorCore

/// Experts whose matrices are chains of five tensors with the middle one in common (MPOE, "Parameter-Efficient Mixture-of-Experts
/// Architecture for Pre-trained Language Models", arXiv 2203.01104): W_e = T_1 T_2 C T_4 T_5, where C is large, and shared by the
/// experts of a block, and the others are small, and an expert's own. Its matrices are computed once an update.
///
/// Parameters `<block>.central.{fc1,fc2}`, dense ones, and `<block>.experts.{e}.{fc1,fc2}.{mpo.{1,2,4,5},bias}`. From nothing
/// (Strata's own; the paper starts from trained models) C is drawn as Xavier's matrix, of the same norm, and the others are
/// isometries.
public struct FactorisedExperts: ExpertMethod {
    public enum Sharing: String, CaseIterable, Sendable {
        /// All experts of a block have a central tensor in common.
        case block
        /// Those of each stratum have: `<block>.strata.{s}.central.{fc1,fc2}`.
        case stratum
    }

    public struct Settings: Equatable, Sendable {
        public var sharing = Sharing.block
        /// The largest bond; nil: as large as it takes for any matrix.
        public var truncation: Int?
        /// The probability that an update leaves a central tensor as it is. The paper has such a mask, against the many updates of
        /// what all experts share; its formula was not seen: this is an assumption.
        public var centralMask: Float = 0

        public init() {}
    }

    /// nil: experts have matrices of their own.
    public var settings: Settings?

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        let settings = ConfigurationForm<Settings>.section(
            [
                .init("share", \.sharing, .choice),
                .init("truncate", \.truncation, .either("none", or: .integer(1...1_048_576))),
                .init("central_mask", \.centralMask, .number(.between(0, 1))),
            ],
            over: Settings())
        return [.init("mpo", \.settings, .either("none", or: settings), isWritten: { $0.settings != nil })]
    }

    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        guard settings != nil else { return }
        problems.require(
            configuration.expertWidths == nil, "\(path).mpo",
            text: "must be none where experts have hidden widths of their own: they have a central tensor in common")
        problems.require(
            configuration.pool == nil, "\(path).mpo", "\(path).expert_pool",
            text: "must be none where experts come and go: what they have in common would be none's own")
    }

    public var blockNames: [String] { settings == nil ? [] : ["experts"] }

    public func addition(to configuration: MixtureConfiguration) -> String? {
        settings.map { settings in "MPO" + (settings.truncation.map { " of \($0)" } ?? "") }
    }

    public func expert(_ id: Int, name: String, of block: BlockSite, store: ParameterStore) -> (any ExpertNetwork)? {
        guard let settings else { return nil }
        let stratum = block.configuration.stratumOfExpert[id]
        let central = settings.sharing == .block ? "\(block.name).central" : "\(block.name).strata.\(stratum).central"
        func matrix(_ layer: String, outputs: Int, inputs: Int) -> Parameter {
            let chain = MatrixChain(outputs: outputs, inputs: inputs, most: settings.truncation)
            let weight = ChainedWeight(
                "\(name).\(layer)", chain, shared: Self.central("\(central).\(layer)", chain, store: store), expert: id,
                mask: settings.centralMask, store: store)
            store.derive(weight)
            return weight.matrix
        }
        func bias(_ layer: String, count: Int) -> Parameter {
            store.add(
                Parameter(
                    vectors: ["\(name).\(layer).bias"], countEach: count, placement: .expert, initializer: .constant(0)))
        }
        let network = FeedForward(
            weight1: matrix("fc1", outputs: block.ffnDim, inputs: block.dim), bias1: bias("fc1", count: block.ffnDim),
            weight2: matrix("fc2", outputs: block.dim, inputs: block.ffnDim), bias2: bias("fc2", count: block.dim))
        return FeedForwardExpert(network: network)
    }

    /// The tensor that experts made before have, or a new one.
    private static func central(_ name: String, _ chain: MatrixChain, store: ParameterStore) -> Parameter {
        if let known = store.parameters.last(where: { $0.slices[0].name == name }) { return known }
        let (outputs, inputs) = (chain.outputs, chain.inputs)
        let bound = (6 / Float(inputs + outputs)).squareRoot()
        let scale = (Float(outputs * inputs) / Float(chain.count(MatrixChain.centre))).squareRoot()
        return store.add(
            Parameter(
                tensor: name, shape: chain.shape(MatrixChain.centre), initializer: .uniform(bound: bound * scale)))
    }
}

/// A matrix of an expert as its chain.
private final class ChainedWeight: DerivedWeight {
    let matrix: Parameter
    let own: [Parameter]
    let shared: Parameter
    let expert: Int
    let mask: Float
    private let chain: MatrixChain

    /// Tensors `<name>.mpo.{1,2,4,5}`; the matrix is `<name>.weight`.
    init(_ name: String, _ chain: MatrixChain, shared: Parameter, expert: Int, mask: Float, store: ParameterStore) {
        (self.chain, self.shared, self.expert, self.mask) = (chain, shared, expert, mask)
        own = (0..<MatrixChain.tensors).filter { $0 != MatrixChain.centre }.map { tensor in
            let shape = chain.shape(tensor), isLeft = tensor < MatrixChain.centre
            // Left ones are isometries from their last bond, right ones from their first.
            return store.add(
                Parameter(
                    tensor: "\(name).mpo.\(tensor + 1)", shape: shape, placement: .expert,
                    initializer: .isometry(rows: isLeft ? shape[0] * shape[1] * shape[2] : shape[0])))
        }
        matrix = Parameter(
            weights: ["\(name).weight"], outputsEach: chain.outputs, inputs: chain.inputs, placement: .expert, use: .factor,
            initializer: .constant(0))
    }

    private var tensors: [UnsafePointer<Float>] {
        let pointers = own.map { UnsafePointer($0.value.pointer) }
        return pointers[..<2] + [UnsafePointer(shared.value.pointer)] + pointers[2...]
    }

    func compute() { chain.multiply(tensors, into: matrix.value.pointer) }

    func handOn() -> [Float] {
        var gradients = chain.gradients(tensors, of: matrix.gradient.pointer)
        let contribution = gradients.remove(at: MatrixChain.centre)
        for (parameter, gradient) in zip(own, gradients) where parameter.isTrained {
            let target = parameter.gradient.pointer
            for index in gradient.indices { target[index] += gradient[index] }
        }
        return contribution
    }
}
