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
    public let store = ParameterStore()
    let embedding: Embedding
    let encoder: [EncoderLayer]
    let encoderNorm: LayerNorm
    let decoder: [DecoderLayer]
    let decoderNorm: LayerNorm

    /// `expertGroup` is the expert-parallel group's communicator: its size is the number of shards.
    public convenience init(
        configuration: ModelConfiguration, vocabulary: Int, context: ComputeContext, expertGroup: any Communicator,
        seed: UInt64
    ) {
        self.init(configuration: configuration, vocabulary: vocabulary, context: context, expertGroup: expertGroup)
        store.materialize(context, seed: seed)
    }

    /// The parameters that a rank of the group holds, by name and shape, without any memory for them.
    public static func parameters(
        configuration: ModelConfiguration, vocabulary: Int, expertGroup: any Communicator
    ) -> [Parameter] {
        TranslationModel(
            configuration: configuration, vocabulary: vocabulary, context: ComputeContext(), expertGroup: expertGroup
        ).store.parameters
    }

    private init(
        configuration: ModelConfiguration, vocabulary: Int, context: ComputeContext, expertGroup: any Communicator
    ) {
        self.configuration = configuration
        self.vocabulary = vocabulary
        self.context = context
        let dispatcher = configuration.mixture.map {
            AllToAllTokenDispatcher(
                communicator: expertGroup, placement: ExpertPlacement(strata: $0.strata, places: expertGroup.size))
        }
        let store = store
        embedding = Embedding(vocabulary: vocabulary, dim: configuration.dim, store: store)
        encoder = (0..<configuration.encoderLayers).map {
            EncoderLayer(index: $0, configuration: configuration, dispatcher: dispatcher, store: store)
        }
        encoderNorm = LayerNorm(name: "encoder.norm", dim: configuration.dim, store: store)
        decoder = (0..<configuration.decoderLayers).map {
            DecoderLayer(index: $0, configuration: configuration, dispatcher: dispatcher, store: store)
        }
        decoderNorm = LayerNorm(name: "decoder.norm", dim: configuration.dim, store: store)
    }

    /// The number of mixture blocks.
    public var mixtureBlocks: Int { configuration.encoderBlocks + configuration.decoderBlocks }

    /// Moves the experts' selection biases after an update, by the world's statistics of each block, encoder's first.
    public func balance(_ statistics: [RoutingStatistics]) {
        let blocks = encoder.compactMap(\.feedForward.block) + decoder.compactMap(\.feedForward.block)
        for (block, statistics) in zip(blocks, statistics) { block.balance(chosen: statistics.chosen) }
    }

    /// Where the parts of the model take their random draws from.
    private enum Part {
        static let sourceEmbedding = 1, targetEmbedding = 2, encoder = 1000, decoder = 2000
    }

    /// Packed source sentences → the encoder's output [T, d].
    public func encode(
        source: [Int32], segments: Segments, _ pass: ForwardPass, lossScale: Float = 0, reports: inout [BlockReport]
    ) throws -> Variable {
        let mask = pass.within(Part.sourceEmbedding).dropout(configuration.dropout, purpose: .embedding)
        var x = embedding(tokens: source, segments: segments, pass, mask: mask)
        for (index, layer) in encoder.enumerated() {
            x = try layer(x, segments: segments, pass.within(Part.encoder + index), lossScale: lossScale, reports: &reports)
        }
        return encoderNorm(x, pass)
    }

    /// Packed target sentences, all positions at once → the decoder's output [T, d].
    public func decode(
        targetInput: [Int32], segments: Segments, memory: Variable, memorySegments: Segments, _ pass: ForwardPass,
        lossScale: Float = 0, reports: inout [BlockReport]
    ) throws -> Variable {
        let mask = pass.within(Part.targetEmbedding).dropout(configuration.dropout, purpose: .embedding)
        var x = embedding(tokens: targetInput, segments: segments, pass, mask: mask)
        for (index, layer) in decoder.enumerated() {
            x = try layer(
                x, segments: segments, memory: memory, memorySegments: memorySegments, pass.within(Part.decoder + index),
                lossScale: lossScale, reports: &reports)
        }
        return decoderNorm(x, pass)
    }

    /// What one batch cost.
    public struct BatchLoss {
        public let output: OutputLoss
        /// Means over the blocks, before weights; 0 in a dense model, and of what is not configured.
        public let loadBalancing: Float
        public let budget: Float
        public let conditionalGateMean: Float
        public let zLoss: Float
        /// The blocks' reports, encoder's first.
        public let encoder: [BlockReport]
        public let decoder: [BlockReport]
    }

    /// The loss of a batch of sentence pairs. If the pass's tape records, `Tape.backward` then adds the gradient of
    /// `gradientScale` × summed smoothed loss + `auxiliaryScale` × the mean over blocks of their auxiliary losses, each times its
    /// weight.
    public func loss(
        source: [Int32], sourceSegments: Segments, targetInput: [Int32], targetOutput: [Int32], targetSegments: Segments,
        _ pass: ForwardPass, smoothing: Float, gradientScale: Float = 0, auxiliaryScale: Float = 0
    ) throws -> BatchLoss {
        let blocks = Float(max(mixtureBlocks, 1)), blockScale = auxiliaryScale / blocks
        var encoderReports: [BlockReport] = [], decoderReports: [BlockReport] = []
        let memory = try encode(
            source: source, segments: sourceSegments, pass, lossScale: blockScale, reports: &encoderReports)
        let states = try decode(
            targetInput: targetInput, segments: targetSegments, memory: memory, memorySegments: sourceSegments, pass,
            lossScale: blockScale, reports: &decoderReports)
        let output = pass.tape.outputLoss(
            states, weight: embedding.weight, targets: targetOutput, smoothing: smoothing, gradientScale: gradientScale)
        func mean(_ figure: (BlockReport) -> Float) -> Float {
            (encoderReports + decoderReports).reduce(0) { $0 + figure($1) } / blocks
        }
        return BatchLoss(
            output: output, loadBalancing: mean(\.loadBalancingLoss), budget: mean(\.budgetLoss),
            conditionalGateMean: mean(\.conditionalGateMean), zLoss: mean(\.zLoss), encoder: encoderReports,
            decoder: decoderReports)
    }
}
