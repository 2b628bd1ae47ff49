import Autograd
import Collectives
import MixtureOfExperts
import NeuralLayers
import TensorCore

/// A Transformer encoder–decoder for translation, pre-norm, with mixtures of experts as configured; one matrix is shared by
/// both embeddings and the output projection. This rank holds all dense parameters and its shard of the experts.
public final class TranslationModel {
    public let configuration: ModelConfiguration
    public let vocabulary: Int
    public let context: ComputeContext
    /// What rows are rounded to on their way to experts and back.
    public let wire: WireFormat
    public let store: ParameterStore
    let embedding: Embedding
    let encoder: [EncoderLayer]
    let encoderNorm: LayerNorm
    let decoder: [DecoderLayer]
    let decoderNorm: LayerNorm

    /// `expertGroup` is the expert-parallel group's communicator: its size is the number of shards. `experts` are the global ids of
    /// those that exist, by mixture block, encoder's first; nil: those that exist at first. `places` are those of each block's
    /// experts, by its name; none: the usual ones. `replicated` are experts that every rank has, likewise. `wire` is what rows are
    /// rounded to on their way to experts and back, `hosts` the ranks', where rows are passed on within them, `lanes` the token groups
    /// that a rank runs in turns. `isTrained` says of a parameter's name whether training changes it.
    public convenience init(
        configuration: ModelConfiguration, vocabulary: Int, context: ComputeContext, expertGroup: any Communicator,
        seed: UInt64, experts: [[Int]]? = nil, places: [String: [Int]] = [:], replicated: [String: [Int]] = [:],
        wire: WireFormat = .float32, passingOnWithin hosts: PlaceHosts? = nil, lanes: Int = 1,
        isTrained: (String) -> Bool = { _ in true }
    ) {
        self.init(
            configuration: configuration, vocabulary: vocabulary, context: context, expertGroup: expertGroup, experts: experts,
            places: places, replicated: replicated, wire: wire, hosts: hosts)
        store.materialize(
            context, seed: seed,
            sources: { $0.sharing(of: expertGroup.size, partSize: configuration.partSize(of: expertGroup.size)) },
            lanes: lanes, isTrained: isTrained)
    }

    /// A model for inference: its parameters are to be loaded, and it has no gradients. `packForInference` is for when they are.
    public convenience init(
        forInference configuration: ModelConfiguration, vocabulary: Int, context: ComputeContext,
        expertGroup: any Communicator, experts: [[Int]]? = nil
    ) {
        self.init(
            configuration: configuration, vocabulary: vocabulary, context: context, expertGroup: expertGroup, experts: experts)
        store.materialize(context, seed: nil)
    }

    /// Lays the weights out for inference: they can be neither trained nor stored any more. In 32 bits what they compute is the
    /// same to rounding; in 8 it is close. Gates stay as they are.
    public func packForInference(precision: PackedWeights.Precision = .float32) {
        store.packForInference(context, precision: precision)
    }

    /// The parameters that a rank of the group holds, by name and shape, without any memory for them.
    public static func parameters(
        configuration: ModelConfiguration, vocabulary: Int, expertGroup: any Communicator, experts: [[Int]]? = nil
    ) -> [Parameter] {
        TranslationModel(
            configuration: configuration, vocabulary: vocabulary, context: ComputeContext(), expertGroup: expertGroup,
            experts: experts
        ).store.parameters
    }

    /// The matrices that a rank of the group computes of its parameters, likewise.
    public static func derivedMatrices(
        configuration: ModelConfiguration, vocabulary: Int, expertGroup: any Communicator
    ) -> [Parameter] {
        TranslationModel(
            configuration: configuration, vocabulary: vocabulary, context: ComputeContext(), expertGroup: expertGroup,
            experts: nil
        ).store.derived.map(\.matrix)
    }

    private init(
        configuration: ModelConfiguration, vocabulary: Int, context: ComputeContext, expertGroup: any Communicator,
        experts: [[Int]]?, places: [String: [Int]] = [:], replicated: [String: [Int]] = [:],
        wire: WireFormat = .float32, hosts: PlaceHosts? = nil
    ) {
        self.configuration = configuration
        self.vocabulary = vocabulary
        self.context = context
        self.wire = wire
        let dispatchers = configuration.dispatchers(
            expertGroup, experts: experts, places: places, replicated: replicated, wire: wire, hosts: hosts)
        let store = ParameterStore(precision: configuration.compute)
        self.store = store
        embedding = Embedding(vocabulary: vocabulary, dim: configuration.dim, store: store)
        encoder = (0..<configuration.encoderLayers).map {
            EncoderLayer(
                index: $0, configuration: configuration,
                dispatcher: configuration.block(ofLayer: $0).map { dispatchers[$0] }, store: store)
        }
        encoderNorm = LayerNorm(name: "encoder.norm", dim: configuration.dim, store: store)
        decoder = (0..<configuration.decoderLayers).map {
            DecoderLayer(
                index: $0, configuration: configuration,
                dispatcher: configuration.block(ofLayer: $0).map { dispatchers[configuration.encoderBlocks + $0] }, store: store
            )
        }
        decoderNorm = LayerNorm(name: "decoder.norm", dim: configuration.dim, store: store)
    }

    /// The number of mixture blocks.
    public var mixtureBlocks: Int { configuration.encoderBlocks + configuration.decoderBlocks }
    /// The mixture blocks, encoder's first.
    public var blocks: [StratifiedBlock] {
        encoder.compactMap(\.feedForward.block) + decoder.compactMap(\.feedForward.block)
    }

    /// The experts that every rank has while others are spread, by block; blocks without are left out.
    public var replicated: [String: [Int]] {
        Dictionary(uniqueKeysWithValues: blocks.map { ($0.name, $0.placement.replicated) }).filter { !$0.value.isEmpty }
    }

    /// Moves what the mixtures' methods learn from loads after an update, by the world's statistics of each block, encoder's
    /// first.
    public func update(loads statistics: [RoutingStatistics]) {
        for (block, statistics) in zip(blocks, statistics) { block.update(chosen: statistics.chosen) }
    }

    /// The name of an expert that a gate's tokens may choose although it does not exist; nil if there is none, as must be.
    public var absentChoice: String? {
        blocks.lazy.compactMap { block in block.absentChoice.map { "\(block.name).experts.\($0)" } }.first
    }

    /// Numbers of the model's parts, for their random draws.
    private enum Part {
        static let sourceEmbedding = 1, targetEmbedding = 2, encoder = 1000, decoder = 2000
    }

    /// Packed source sentences → the encoder's output [T, d].
    public func encode(source: [Int32], segments: Segments, _ pass: ForwardPass) throws -> Variable {
        let mask = pass.within(Part.sourceEmbedding).dropout(configuration.dropout, purpose: .embedding)
        var x = embedding(tokens: source, segments: segments, pass, mask: mask)
        for (index, layer) in encoder.enumerated() {
            x = try layer(x, segments: segments, pass.within(Part.encoder + index))
        }
        return encoderNorm(x, pass)
    }

    /// Packed target sentences, all positions at once → the decoder's output [T, d].
    public func decode(
        targetInput: [Int32], segments: Segments, memory: Variable, memorySegments: Segments, _ pass: ForwardPass
    ) throws -> Variable {
        let mask = pass.within(Part.targetEmbedding).dropout(configuration.dropout, purpose: .embedding)
        var x = embedding(tokens: targetInput, segments: segments, pass, mask: mask)
        for (index, layer) in decoder.enumerated() {
            x = try layer(
                x, segments: segments, memory: memory, memorySegments: memorySegments, pass.within(Part.decoder + index))
        }
        return decoderNorm(x, pass)
    }

    /// What one batch cost.
    public struct BatchLoss {
        public let output: OutputLoss
        /// The blocks' reports, encoder's first; none for a dense model.
        public let reports: [BlockReport]
        /// The blocks' figures as the model's.
        public var figures: [BlockFigure] { .combined(reports.map(\.figures)) }
    }

    /// The loss of a batch of sentence pairs. If the tape records, `Tape.backward` then adds the gradient of `gradientScale` ×
    /// summed smoothed loss + `auxiliaryScale` × the mean over blocks of their auxiliary losses, each times its weight.
    public func loss(
        _ batch: SentenceBatch, on tape: Tape, isTraining: Bool, key: RandomKey, smoothing: Float, gradientScale: Float = 0,
        auxiliaryScale: Float = 0
    ) throws -> BatchLoss {
        let reports = PassReports()
        var pass = ForwardPass(tape: tape, isTraining: isTraining, key: key, reporting: reports)
        pass.auxiliaryScale = auxiliaryScale / Float(max(mixtureBlocks, 1))
        let states = try states(of: batch, pass)
        let output = tape.outputLoss(
            states, weight: embedding.weight, targets: batch.targetOutput, smoothing: smoothing, gradientScale: gradientScale)
        return BatchLoss(output: output, reports: reports.all(of: BlockReport.self))
    }

    /// What the mixtures do with a batch by the rules of evaluation, the reference translation given.
    public func reports(
        on batch: SentenceBatch, keepingDecisions: Bool = false
    ) throws -> (encoder: [BlockReport], decoder: [BlockReport]) {
        let reports = PassReports()
        var pass = ForwardPass(
            tape: Tape(context, recording: false), isTraining: false, key: RandomKey(seed: 0), reporting: reports)
        pass.keepsDecisions = keepingDecisions
        _ = try states(of: batch, pass)
        let all = reports.all(of: BlockReport.self)
        return (Array(all.prefix(configuration.encoderBlocks)), Array(all.dropFirst(configuration.encoderBlocks)))
    }

    /// What the feed-forward network, or the mixture, of each layer reads of a batch by the rules of evaluation, the reference
    /// translation given, [tokens, d], by the layer's name, such as `encoder.layers.0`.
    public func layerRows(of batch: SentenceBatch) throws -> [(layer: String, rows: Tensor)] {
        let reports = PassReports()
        var pass = ForwardPass(
            tape: Tape(context, recording: false), isTraining: false, key: RandomKey(seed: 0), reporting: reports)
        pass.keepsRows = true
        _ = try states(of: batch, pass)
        let layers =
            encoder.indices.map { "encoder.layers.\($0)" } + decoder.indices.map { "decoder.layers.\($0)" }
        return zip(layers, reports.all(of: LayerRows.self)).map { ($0, $1.rows) }
    }

    /// The decoder's output for a batch, [target tokens, d].
    func states(of batch: SentenceBatch, _ pass: ForwardPass) throws -> Variable {
        let memory = try encode(source: batch.source, segments: batch.sourceSegments, pass)
        return try decode(
            targetInput: batch.targetInput, segments: batch.targetSegments, memory: memory,
            memorySegments: batch.sourceSegments, pass)
    }
}
