import Autograd
import Collectives
import TensorCore
import Training
import TransformerModel

/// What a model is made of and what a token costs, from its configuration alone: the parameters are those that the model
/// itself would have, but no memory is taken for them.
public struct ModelPlan {
    public let configuration: ModelConfiguration
    public let vocabulary: Int
    /// How uniform routing spreads tokens; nil for a dense model.
    let routing: UniformRouting?
    /// The same with as many experts as may ever exist.
    let largestRouting: UniformRouting?
    /// Parameters that every rank holds, and parameters of all experts together: of as many as may exist.
    public let replicatedParameters: Int
    public let expertParameters: Int
    /// Those of the former and the latter that training changes.
    let trainedReplicated: Int
    let trainedExperts: Int
    /// Parameters of each expert of a block that training changes, by global id.
    let trainedOfExpert: [Int]
    /// Elements of the matrices of each expert of a block that are computed of parameters, by global id.
    let derivedOfExpert: [Int]
    /// Parameters of each expert of a block, by global id, and its multiply-adds for a row.
    let parametersOfExpert: [Int]
    let productsOfExpert: [Int]
    /// Multiply-adds of a row's way through the gate of each stratum of a block.
    let gateProducts: [Double]
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
        routing = configuration.mixture.map { UniformRouting($0, requestedCapacity: requestedCapacity) }
        largestRouting = configuration.mixture.map { UniformRouting($0.ofAllExperts, requestedCapacity: requestedCapacity) }
        let (counts, products, byExpert, trainedByExpert, derived, gates) = try SimulatedCluster.run(ranks: 1) { alone in
            let parameters = TranslationModel.parameters(
                configuration: configuration, vocabulary: vocabulary, expertGroup: alone,
                experts: configuration.mixture.map { mixture in
                    [[Int]](
                        repeating: Array(0..<mixture.experts), count: configuration.encoderBlocks + configuration.decoderBlocks)
                })
            let matrices = TranslationModel.derivedMatrices(
                configuration: configuration, vocabulary: vocabulary, expertGroup: alone)
            let all = parameters.flatMap { parameter in parameter.slices.map { (parameter.placement, $0) } }
            let slices = all.filter { trained.contains($0.1.name) }
            func count(_ placement: ParameterPlacement, _ slices: [(ParameterPlacement, ParameterSlice)]) -> Int {
                slices.reduce(0) { $0 + ($1.0 == placement ? $1.1.range.count : 0) }
            }
            // A gate's rows are met by the tokens that reach it alone: `gateProducts` counts them.
            let products = parameters.reduce(0) { sum, parameter in
                parameter.placement == .replicated && !Self.isGate(parameter)
                    ? sum + parameter.slices.reduce(0) { $0 + ($1.shape.count == 2 ? $1.range.count : 0) } : sum
            }
            return (
                [count(.replicated, all), count(.expert, all), count(.replicated, slices), count(.expert, slices)], products,
                Self.byExpert(all.map(\.1), configuration), Self.byExpert(slices.map(\.1), configuration),
                Self.byExpert(matrices.flatMap(\.slices), configuration), Self.byGate(all.map(\.1), configuration)
            )
        }[0]
        (replicatedParameters, expertParameters) = (counts[0], counts[1])
        (trainedReplicated, trainedExperts) = (counts[2], counts[3])
        trainedOfExpert = trainedByExpert.map(\.parameters)
        gateProducts = gates
        denseProducts = Double(products)
        parametersOfExpert = byExpert.map(\.parameters)
        derivedOfExpert = derived.map(\.parameters)
        productsOfExpert = zip(byExpert, derived).map { $0.products + $1.products }
    }

    /// Of the experts of one block: every block has the same.
    private static func byExpert(
        _ slices: [ParameterSlice], _ configuration: ModelConfiguration
    ) -> [(parameters: Int, products: Int)] {
        var counts = [(parameters: Int, products: Int)](repeating: (0, 0), count: configuration.mixture?.experts ?? 0)
        let blocks = configuration.encoderBlocks + configuration.decoderBlocks
        for slice in slices {
            // A pattern would be read anew for each of what may be a hundred thousand experts.
            let names = slice.name.split(separator: ".")
            guard let place = names.firstIndex(of: "experts"), names[place - 1] == "moe", place + 1 < names.count,
                let id = Int(names[place + 1])
            else {
                continue
            }
            counts[id].parameters += slice.range.count
            if slice.shape.count == 2 { counts[id].products += slice.range.count }
        }
        return counts.map { ($0.parameters / max(blocks, 1), $0.products / max(blocks, 1)) }
    }

    /// Multiply-adds of a whole row at each gate of one block: those of its parts together, of rows that are cut.
    private static func byGate(_ slices: [ParameterSlice], _ configuration: ModelConfiguration) -> [Double] {
        guard let mixture = configuration.mixture else { return [] }
        let blocks = Double(configuration.encoderBlocks + configuration.decoderBlocks)
        return mixture.strata.indices.map { stratum in
            slices.reduce(0.0) { sum, slice in
                let isMatrix = slice.shape.count == 2 && slice.name.contains(".moe.gates.\(stratum).")
                return isMatrix ? sum + Double(slice.range.count * mixture.rowsPerToken) / blocks : sum
            }
        }
    }

    private static func isGate(_ parameter: Parameter) -> Bool { parameter.slices[0].name.contains(".moe.gates.") }

    public var blocks: Int { configuration.encoderBlocks + configuration.decoderBlocks }
    public var parameters: Int { replicatedParameters + expertParameters }
    public var trainedParameters: Int { trainedReplicated + trainedExperts }

    /// Parameters with the experts that exist at first; nil where they neither come nor go.
    public var initialParameters: Int? {
        guard let mixture = configuration.mixture, mixture.pool != nil else { return nil }
        return replicatedParameters + blocks * mixture.initialExperts.reduce(0) { $0 + parametersOfExpert[$1] }
    }

    /// Parameters that a token meets on its way: all but the experts, and those of the experts as often as they see it.
    public var activeParameters: Int {
        let met = zip(routing?.evaluatedRows ?? [], parametersOfExpert).reduce(0) { $0 + $1.0 * Double($1.1) }
        return replicatedParameters + Int(clamped: (Double(blocks) * met).rounded())
    }

    /// Floating-point operations of a source token's way through the encoder and a target token's through the decoder, forward:
    /// two for each multiply-add of a product with a matrix of parameters. Attention between tokens, which depends on the
    /// sentence, is not counted.
    public var flopsPerToken: Double {
        guard let mixture = configuration.mixture, let routing else { return 2 * denseProducts }
        let gates = mixture.strata.indices.reduce(0) { $0 + routing.arrivals[$1] * gateProducts[$1] }
        let experts = zip(routing.evaluatedRows, productsOfExpert).reduce(0) { $0 + $1.0 * Double($1.1) }
        return 2 * (denseProducts + Double(blocks) * (gates + experts))
    }
}
