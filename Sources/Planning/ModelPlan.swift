import Autograd
import Collectives
import TransformerModel

/// What a model is made of and what a token costs, from its configuration alone: the parameters are those that the model
/// itself would have, but no memory is taken for them.
public struct ModelPlan {
    public let configuration: ModelConfiguration
    public let vocabulary: Int
    /// How uniform routing spreads tokens; nil for a dense model.
    let routing: UniformRouting?
    /// Parameters that every rank holds, and parameters of all experts together.
    public let replicatedParameters: Int
    public let expertParameters: Int
    /// Multiply-adds of a token's way through everything but experts and gates.
    private let denseProducts: Double

    /// `measuredRounds`: strata that a token passes in a block, in place of what uniform routing gives.
    public init(_ configuration: ModelConfiguration, vocabulary: Int, measuredRounds: Double? = nil) throws {
        self.configuration = configuration
        self.vocabulary = vocabulary
        routing = configuration.mixture.map { UniformRouting($0, measuredRounds: measuredRounds) }
        let (replicated, experts, products) = try SimulatedCluster.run(ranks: 1) { alone in
            let parameters = TranslationModel.parameters(
                configuration: configuration, vocabulary: vocabulary, expertGroup: alone)
            func count(_ placement: ParameterPlacement) -> Int {
                parameters.reduce(0) { $0 + ($1.placement == placement ? $1.count : 0) }
            }
            // A gate's rows are met by the tokens that reach it alone: `gateProducts` counts them.
            let products = parameters.reduce(0) { sum, parameter in
                parameter.placement == .replicated && !Self.isGate(parameter)
                    ? sum + parameter.slices.reduce(0) { $0 + ($1.shape.count == 2 ? $1.range.count : 0) } : sum
            }
            return (count(.replicated), count(.expert), products)
        }[0]
        replicatedParameters = replicated
        expertParameters = experts
        denseProducts = Double(products)
    }

    private static func isGate(_ parameter: Parameter) -> Bool { parameter.slices[0].name.contains(".moe.gates.") }

    public var blocks: Int { configuration.encoderBlocks + configuration.decoderBlocks }
    public var parameters: Int { replicatedParameters + expertParameters }

    /// Parameters of one expert.
    var parametersPerExpert: Int {
        guard let mixture = configuration.mixture, blocks > 0 else { return 0 }
        return expertParameters / (blocks * mixture.experts)
    }

    /// Parameters that a token meets on its way: all but the experts, and as many experts as see it.
    public var activeParameters: Int {
        let experts = Double(blocks) * (routing?.expertsPerToken ?? 0)
        return replicatedParameters + Int((experts * Double(parametersPerExpert)).rounded())
    }

    /// Floating-point operations of a source token's way through the encoder and a target token's through the decoder, forward:
    /// two for each multiply-add of a product with a matrix of parameters. Attention between tokens, which depends on the
    /// sentence, is not counted.
    public var flopsPerToken: Double {
        let d = Double(configuration.dim), ffn = Double(configuration.ffnDim)
        guard let mixture = configuration.mixture, let routing else { return 2 * denseProducts }
        let gates = mixture.strata.indices.reduce(0) { sum, stratum in
            sum + routing.arrivals[stratum] * Double(mixture.visibleExperts(atStratum: stratum).count) * d
        }
        return 2 * (denseProducts + Double(blocks) * (gates + routing.expertsPerToken * 2 * d * ffn))
    }
}
