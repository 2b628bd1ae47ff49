import Autograd
import MixtureOfExperts
import NeuralLayers
import TensorCore

/// A pre-norm encoder layer: self-attention, then the feed-forward sublayer. Parameters `encoder.layers.{i}.…`.
struct EncoderLayer {
    let attentionNorm: LayerNorm
    let attention: SelfAttention
    let feedForward: FeedForwardSublayer
    private let dropout: Float
    private let attentionDropout: Float

    init(index: Int, configuration: ModelConfiguration, dispatcher: (any TokenDispatcher)?, store: ParameterStore) {
        let name = "encoder.layers.\(index)"
        attentionNorm = LayerNorm(name: "\(name).self_attn_norm", dim: configuration.dim, store: store)
        attention = SelfAttention(
            name: "\(name).self_attn", dim: configuration.dim, heads: configuration.heads, causal: false, store: store)
        feedForward = FeedForwardSublayer(
            layer: name, configuration: configuration, dispatcher: dispatcher, store: store)
        dropout = configuration.dropout
        attentionDropout = configuration.attentionDropout
    }

    func callAsFunction(_ x: Variable, segments: Segments, _ pass: ForwardPass) throws -> Variable {
        let inner = pass.within(1)
        let attended = attention(
            attentionNorm(x, pass), addedTo: x, pass, segments: segments,
            attentionMask: inner.dropout(attentionDropout, purpose: .attention),
            residualMask: inner.dropout(dropout, purpose: .residual))
        return try feedForward(attended, pass.within(3))
    }
}
