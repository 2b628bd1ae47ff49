import Autograd
import MixtureOfExperts
import NeuralLayers
import TensorCore

/// A pre-norm decoder layer: causal self-attention, attention to the encoder's output, then the feed-forward sublayer.
/// Parameters `decoder.layers.{i}.…`.
struct DecoderLayer {
    let selfAttentionNorm: LayerNorm
    let selfAttention: SelfAttention
    let crossAttentionNorm: LayerNorm
    let crossAttention: CrossAttention
    let feedForward: FeedForwardSublayer
    private let dropout: Float
    private let attentionDropout: Float

    init(index: Int, configuration: ModelConfiguration, dispatcher: (any TokenDispatcher)?, store: ParameterStore) {
        let name = "decoder.layers.\(index)"
        selfAttentionNorm = LayerNorm(name: "\(name).self_attn_norm", dim: configuration.dim, store: store)
        selfAttention = SelfAttention(
            name: "\(name).self_attn", dim: configuration.dim, heads: configuration.heads, causal: true, store: store)
        crossAttentionNorm = LayerNorm(name: "\(name).cross_attn_norm", dim: configuration.dim, store: store)
        crossAttention = CrossAttention(
            name: "\(name).cross_attn", dim: configuration.dim, heads: configuration.heads, store: store)
        feedForward = FeedForwardSublayer(
            layer: name, configuration: configuration, dispatcher: dispatcher, store: store)
        dropout = configuration.dropout
        attentionDropout = configuration.attentionDropout
    }

    func callAsFunction(
        _ x: Variable, segments: Segments, memory: Variable, memorySegments: Segments, _ pass: ForwardPass
    ) throws -> Variable {
        let inner = pass.within(1), outer = pass.within(2)
        let attended = selfAttention(
            selfAttentionNorm(x, pass), addedTo: x, pass, segments: segments,
            attentionMask: inner.dropout(attentionDropout, purpose: .attention),
            residualMask: inner.dropout(dropout, purpose: .residual))
        let informed = crossAttention(
            crossAttentionNorm(attended, pass), memory: memory, addedTo: attended, pass, segments: segments,
            memorySegments: memorySegments, attentionMask: outer.dropout(attentionDropout, purpose: .attention),
            residualMask: outer.dropout(dropout, purpose: .residual))
        return try feedForward(informed, pass.within(3))
    }

    /// How much each row of x attends to each row of memory of its sentence: see `CrossAttention.weights`.
    func attention(
        _ x: Variable, segments: Segments, memory: Variable, memorySegments: Segments, _ pass: ForwardPass
    ) -> [[Float]] {
        let attended = selfAttention(
            selfAttentionNorm(x, pass), addedTo: x, pass, segments: segments, attentionMask: .none, residualMask: .none)
        return crossAttention.weights(
            crossAttentionNorm(attended, pass), memory: memory, pass, segments: segments, memorySegments: memorySegments)
    }

    /// One position of decoding, a row each of the step that `cache` has begun: what `callAsFunction` computes for the last position
    /// of each hypothesis, [R, d]. `layer` is this layer's index; `inputs` says which row of x each row has, nil: its own.
    func step(
        _ x: Variable, _ cache: DecoderCache, layer: Int, inputs: [Int32]? = nil, _ pass: ForwardPass
    ) throws -> Variable {
        let attended = selfAttention.step(
            selfAttentionNorm(x, pass), addedTo: x, pass, cache: cache.own[layer], slots: cache.slots, seen: cache.seen,
            inputs: inputs)
        let informed = crossAttention.step(
            crossAttentionNorm(attended, pass), addedTo: attended, pass, seen: cache.memory(layer: layer))
        return try feedForward(informed, pass)
    }
}
