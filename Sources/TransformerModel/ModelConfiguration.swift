import MixtureOfExperts
import TensorCore

/// The shape of an encoder–decoder Transformer.
public struct ModelConfiguration: Equatable, Sendable {
    public enum Preset: String, CaseIterable, Sendable {
        case transformerBase = "transformer-base"
        case transformerBig = "transformer-big"
    }

    public var dim = 512
    public var ffnDim = 2048
    public var heads = 8
    public var encoderLayers = 6
    public var decoderLayers = 6
    public var dropout: Float = 0.3
    public var attentionDropout: Float = 0.1
    /// What products with the layers' weights are computed in while the model is trained; gates' are in 32 bits.
    public var compute = GEMM.Precision.float32
    /// The mixture of experts; nil: a dense model.
    public var mixture: MixtureConfiguration?

    /// The mixture blocks of encoder and decoder.
    public var encoderBlocks: Int { mixture.map { encoderLayers / $0.every } ?? 0 }
    public var decoderBlocks: Int { mixture.map { decoderLayers / $0.every } ?? 0 }

    public init(preset: Preset = .transformerBase) {
        if preset == .transformerBig { (dim, ffnDim, heads) = (1024, 4096, 16) }
    }
}
