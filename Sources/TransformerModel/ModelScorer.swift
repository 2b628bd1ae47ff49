import Autograd
import MixtureOfExperts
import NeuralLayers
import TensorCore

/// A model's next tokens, one position of each hypothesis at a time: keys and values of earlier positions are kept.
public final class ModelScorer: NextTokenScorer {
    private let model: TranslationModel
    private let pass: ForwardPass
    private let cache: DecoderCache
    public let context: ComputeContext

    /// `context` nil: the model's own. Several scorers may share a model, each with a context and a thread of its own, if its
    /// experts are all on this rank.
    public init(_ model: TranslationModel, context: ComputeContext? = nil) {
        let context = context ?? model.context
        self.model = model
        self.context = context
        pass = ForwardPass(tape: Tape(context, recording: false), isTraining: false, key: RandomKey(seed: 0))
        cache = DecoderCache(context, layers: model.decoder.count, dim: model.configuration.dim)
    }

    public var vocabulary: Int { model.vocabulary }

    public func begin(_ sources: [[Int32]]) throws -> Range<Int> {
        let segments = Segments(lengths: sources.map(\.count))
        let encoded = try model.encode(source: sources.flatMap { $0 }, segments: segments, pass)
        return cache.begin(segments, memory: model.decoder.map { $0.crossAttention.remember(encoded, pass) })
    }

    public func logits(_ rows: [DecodingRow]) throws -> Tensor { try model.logits(rows, cache, pass) }

    public func best(_ count: Int, of rows: [DecodingRow], forbidden: [Int32]) throws -> [[TopLogProbabilities.Candidate]] {
        guard let weights = model.embedding.weight.packed else {
            return TopLogProbabilities.select(context, logits: try logits(rows), count: count, forbidden: forbidden)
        }
        let states = try model.decoderStates(rows, cache, pass)
        return context.clock.measure(.loss, "output projection") {
            TopLogProbabilities.select(context, states: states, weights: weights, count: count, forbidden: forbidden)
        }
    }

    public func end(_ sentence: Int) { cache.end(sentence) }
}

extension TranslationModel {
    /// Logits of the next token for each row of a step, [rows, V].
    func logits(_ rows: [DecodingRow], _ cache: DecoderCache, _ pass: ForwardPass) throws -> Tensor {
        let states = try decoderStates(rows, cache, pass), context = pass.context
        let logits = context.uninitialized(rows.count, vocabulary)
        context.clock.measure(.loss, "output projection") { embedding.weight.multiply(context, x: states, into: logits) }
        return logits
    }

    /// The decoder's output for the next position of each row, [rows, d].
    func decoderStates(_ rows: [DecodingRow], _ cache: DecoderCache, _ pass: ForwardPass) throws -> Tensor {
        cache.beginStep(rows)
        // What rows of one token at one position have in common is computed once.
        let words = DistinctWords(zip(rows, cache.positions).map { .init(token: $0.token, position: $1) })
        var x = embedding(tokens: words.all.map(\.token), positions: words.all.map(\.position), pass)
        for index in decoder.indices {
            x = try decoder[index].step(x, cache, layer: index, inputs: index == 0 ? words.ofRows : nil, pass)
        }
        let states = decoderNorm(x, pass).value
        pass.context.clock.countProducts(m: rows.count, n: vocabulary, k: states.columns)
        return states
    }
}

/// The tokens of a step's rows with their positions, each that occurs once.
private struct DistinctWords {
    struct Word: Hashable {
        let token: Int32
        let position: Int
    }

    /// In the order in which they occur first.
    let all: [Word]
    /// By row, the index of its own.
    let ofRows: [Int32]

    init(_ words: [Word]) {
        var numbers: [Word: Int32] = [:], all: [Word] = []
        ofRows = words.map { word in
            if let number = numbers[word] { return number }
            numbers[word] = Int32(all.count)
            all.append(word)
            return Int32(all.count - 1)
        }
        self.all = all
    }
}
