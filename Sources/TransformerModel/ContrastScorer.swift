import Autograd
import NeuralLayers
import TensorCore

/// A model's next tokens in contrast to those of its own weak pass. The encoder runs once, as usual; the decoder twice, with caches
/// of its own for each pass.
public final class ContrastScorer: NextTokenScorer {
    private let model: TranslationModel
    private let contrast: Contrast
    private let strong: ForwardPass
    private let weak: ForwardPass
    private let strongCache: DecoderCache
    private let weakCache: DecoderCache
    public let context: ComputeContext

    /// `context` as of `ModelScorer`.
    public init(_ model: TranslationModel, _ contrast: Contrast, context: ComputeContext? = nil) {
        let context = context ?? model.context
        self.model = model
        self.contrast = contrast
        self.context = context
        strong = ForwardPass(tape: Tape(context, recording: false), isTraining: false, key: RandomKey(seed: 0))
        var weak = strong
        switch contrast.weak {
        case .rounds(let rounds): weak.mostRounds = rounds
        case .rank(let rank): weak.onlyRank = rank
        }
        self.weak = weak
        func cache() -> DecoderCache { DecoderCache(context, layers: model.decoder.count, dim: model.configuration.dim) }
        (strongCache, weakCache) = (cache(), cache())
    }

    public var vocabulary: Int { model.vocabulary }

    public func begin(_ sources: [[Int32]]) throws -> Range<Int> {
        let segments = Segments(lengths: sources.map(\.count))
        let encoded = try model.encode(source: sources.flatMap { $0 }, segments: segments, strong)
        let memory = model.decoder.map { $0.crossAttention.remember(encoded, strong) }
        let numbers = strongCache.begin(segments, memory: memory)
        precondition(weakCache.begin(segments, memory: memory) == numbers, "both passes number sentences alike")
        return numbers
    }

    public func logits(_ rows: [DecodingRow]) throws -> Tensor { try logits(rows, forbidden: []) }

    public func best(_ count: Int, of rows: [DecodingRow], forbidden: [Int32]) throws -> [[TopLogProbabilities.Candidate]] {
        let logits = try logits(rows, forbidden: forbidden)
        // There may be fewer candidates than are asked for.
        return TopLogProbabilities.select(context, logits: logits, count: count, forbidden: forbidden).map { row in
            row.filter { $0.logProbability > -.infinity }
        }
    }

    private func logits(_ rows: [DecodingRow], forbidden: [Int32]) throws -> Tensor {
        let logits = try model.logits(rows, strongCache, strong), weakLogits = try model.logits(rows, weakCache, weak)
        for row in rows.indices {
            for token in forbidden { logits[row, Int(token)] = -.infinity }
            contrast.apply(logits.row(row), weak: weakLogits.row(row), count: vocabulary)
        }
        return logits
    }

    public func end(_ sentence: Int) {
        strongCache.end(sentence)
        weakCache.end(sentence)
    }
}
