import Autograd
import MixtureOfExperts
import NeuralLayers
import TensorCore

/// A model's next tokens, one position of each hypothesis at a time: keys and values of earlier positions are kept.
public final class ModelScorer: NextTokenScorer {
    private let model: TranslationModel
    private let pass: ForwardPass
    private let cache: DecoderCache

    public init(_ model: TranslationModel) {
        self.model = model
        pass = ForwardPass(tape: Tape(model.context, recording: false), isTraining: false, key: RandomKey(seed: 0))
        cache = DecoderCache(model.context, layers: model.decoder.count, dim: model.configuration.dim)
    }

    public var context: ComputeContext { model.context }
    public var vocabulary: Int { model.vocabulary }

    public func begin(_ sources: [[Int32]]) throws -> Range<Int> {
        let segments = Segments(lengths: sources.map(\.count))
        let encoded = try model.encode(source: sources.flatMap { $0 }, segments: segments, pass)
        let (sentences, slots) = cache.begin(segments)
        for (layer, cache) in zip(model.decoder, cache.layers) {
            layer.crossAttention.remember(encoded, pass, cache: cache.memory, slots: slots)
        }
        return sentences
    }

    public func step(_ rows: [DecodingRow]) throws -> Tensor {
        cache.beginStep(rows)
        var x = model.embedding(tokens: rows.map(\.token), positions: rows.indices.map { cache.own[$0].count - 1 }, pass)
        for index in model.decoder.indices { x = try model.decoder[index].step(x, cache, layer: index, pass) }
        let states = model.decoderNorm(x, pass).value
        let logits = context.uninitialized(rows.count, vocabulary)
        context.clock.measure(.loss, "output projection") {
            MatrixProduct.forward(context, x: states, w: model.embedding.weight.value, into: logits)
        }
        context.clock.countProducts(m: rows.count, n: vocabulary, k: states.columns)
        return logits
    }

    public func end(_ sentence: Int) { cache.end(sentence) }
}
