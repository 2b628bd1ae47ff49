import Autograd
import Collectives
import MixtureOfExperts
import TensorCore
import Training
import TransformerModel

/// What a model is made of and what a token costs, from its configuration alone: the parameters are those that the model
/// itself would have, but no memory is taken for them.
public struct ModelPlan {
    public let configuration: ModelConfiguration
    public let vocabulary: Int
    /// The mixture blocks; none in a dense model.
    let kinds: [BlockPlan]
    /// Parameters that every rank holds, and parameters of all experts together: of as many as may exist.
    public let replicatedParameters: Int
    public let expertParameters: Int
    /// Those of the former and the latter that training changes.
    let trainedReplicated: Int
    let trainedExperts: Int
    /// Multiply-adds of a token's way through everything but experts and gates.
    let denseProducts: Double

    /// `requestedCapacity`, as measured: strata that a token passes in a block, in place of what uniform routing gives. `trained`
    /// says what training changes.
    public init(
        _ configuration: ModelConfiguration, vocabulary: Int, requestedCapacity: Double? = nil,
        trained: TrainedParameters = .all
    ) throws {
        self.configuration = configuration
        self.vocabulary = vocabulary
        let blocks = configuration.encoderBlocks + configuration.decoderBlocks
        let (all, derived, products) = try SimulatedCluster.run(ranks: 1) { alone in
            let parameters = TranslationModel.parameters(
                configuration: configuration, vocabulary: vocabulary, expertGroup: alone,
                experts: configuration.mixture.map { _ in
                    configuration.blockNames.map { Array(0..<(configuration.mixture(ofBlock: $0)?.experts ?? 0)) }
                })
            let matrices = TranslationModel.derivedMatrices(
                configuration: configuration, vocabulary: vocabulary, expertGroup: alone)
            // A gate's rows are met by the tokens that reach it alone: `gateProducts` counts them.
            let products = parameters.reduce(0) { sum, parameter in
                parameter.placement == .replicated && !Self.isGate(parameter)
                    ? sum + parameter.slices.reduce(0) { $0 + ($1.shape.count == 2 ? $1.range.count : 0) } : sum
            }
            return (
                parameters.flatMap { parameter in parameter.slices.map { (parameter.placement, $0) } },
                matrices.flatMap(\.slices), products
            )
        }[0]
        func count(_ placement: ParameterPlacement, where isCounted: (String) -> Bool = { _ in true }) -> Int {
            all.reduce(0) { $0 + ($1.0 == placement && isCounted($1.1.name) ? $1.1.range.count : 0) }
        }
        (replicatedParameters, expertParameters) = (count(.replicated), count(.expert))
        trainedReplicated = count(.replicated, where: trained.contains)
        trainedExperts = count(.expert, where: trained.contains)
        denseProducts = Double(products)
        func kind(_ mixture: MixtureConfiguration, count: Int, _ side: String = "") -> BlockPlan {
            BlockPlan(
                mixture, count: count, all.map(\.1).filter { $0.name.hasPrefix(side) },
                derived: derived.filter { $0.name.hasPrefix(side) }, isTrained: trained.contains,
                requestedCapacity: requestedCapacity)
        }
        guard let mixture = configuration.mixture else {
            kinds = []
            return
        }
        kinds =
            mixture.decoderStrata == nil
            ? [kind(mixture, count: blocks)]
            : [
                kind(mixture.ofEncoder, count: configuration.encoderBlocks, "encoder."),
                kind(mixture.ofDecoder, count: configuration.decoderBlocks, "decoder."),
            ]
    }

    private static func isGate(_ parameter: Parameter) -> Bool { parameter.slices[0].name.contains(".moe.gates.") }

    public var blocks: Int { configuration.encoderBlocks + configuration.decoderBlocks }
    public var parameters: Int { replicatedParameters + expertParameters }
    public var trainedParameters: Int { trainedReplicated + trainedExperts }

    /// The kind that a side's blocks are of; nil in a dense model.
    var encoderKind: BlockPlan? { kinds.first }
    var decoderKind: BlockPlan? { kinds.last }

    /// RC, and the experts that a token sees in a block: means over blocks; nil for a dense model.
    var requestedCapacity: Double? { mean { $0.routing.requestedCapacity } }
    var expertsPerToken: Double? { mean { $0.routing.expertsPerToken } }
    /// RC as uniform routing has it, whatever was measured.
    var expectedCapacity: Double? { mean { UniformRouting($0.mixture).requestedCapacity } }

    private func mean(_ figure: (BlockPlan) -> Double) -> Double? {
        guard let first = kinds.first.map(figure) else { return nil }
        return kinds.reduce(first) { $0 + (figure($1) - first) * Double($1.count) / Double(blocks) }
    }

    /// Parameters with the experts that exist at first; nil where they neither come nor go.
    public var initialParameters: Int? {
        guard let mixture = configuration.mixture, mixture.pool != nil else { return nil }
        return kinds.reduce(replicatedParameters) { sum, kind in
            sum + kind.count * mixture.initialExperts.reduce(0) { $0 + kind.parametersOfExpert[$1] }
        }
    }

    /// Parameters that a token meets on its way: all but the experts, and those of the experts as often as they see it.
    public var activeParameters: Int {
        let met = kinds.reduce(0) { sum, kind in
            sum + Double(kind.count)
                * zip(kind.routing.evaluatedRows, kind.parametersOfExpert).reduce(0) { $0 + $1.0 * Double($1.1) }
        }
        return replicatedParameters + Int(clamped: met.rounded())
    }

    /// Floating-point operations of a source token's way through the encoder and a target token's through the decoder, forward:
    /// two for each multiply-add of a product with a matrix of parameters. Attention between tokens, which depends on the
    /// sentence, is not counted.
    public var flopsPerToken: Double {
        2
            * kinds.reduce(denseProducts) { sum, kind in
                let gates = zip(kind.routing.arrivals, kind.gateProducts).reduce(0) { $0 + $1.0 * $1.1 }
                let experts = zip(kind.routing.evaluatedRows, kind.productsOfExpert).reduce(0) { $0 + $1.0 * Double($1.1) }
                return sum + Double(kind.count) * (gates + experts)
            }
    }
}
