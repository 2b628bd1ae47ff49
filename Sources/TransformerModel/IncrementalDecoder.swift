import Autograd
import NeuralLayers
import TensorCore

/// The decoder one position at a time, for search: keys and values of earlier positions are kept, and each hypothesis finds its
/// own along the path of its ancestors, so that nothing is copied when hypotheses are reordered.
public final class IncrementalDecoder {
    private let model: TranslationModel
    private let pass: ForwardPass
    /// The encoder's keys and values by layer, [source tokens, 2 d].
    private let memory: [Tensor]
    private let memorySegments: Segments
    /// Keys and values by layer, then by position: [hypotheses then, 3 d] with the queries before them.
    private var cache: [[Tensor]]
    /// By hypothesis: the row of its ancestor at each earlier position.
    private var paths: [[Int32]] = []
    private var position = 0

    /// `encoded` is the output of `TranslationModel.encode` for the packed source sentences.
    public init(model: TranslationModel, encoded: Variable, segments: Segments, pass: ForwardPass) {
        precondition(!pass.tape.isRecording, "search has no way back")
        self.model = model
        self.pass = pass
        memorySegments = segments
        memory = model.decoder.map { $0.crossAttention.keysAndValues(encoded, pass).value }
        cache = model.decoder.map { _ in [] }
    }

    /// A hypothesis to extend.
    public struct Row {
        /// Its last token.
        public let token: Int32
        /// The source sentence that it translates.
        public let sentence: Int
        /// The row of the step before that it continues; without meaning in the first step.
        public let parent: Int

        public init(token: Int32, sentence: Int, parent: Int) {
            self.token = token
            self.sentence = sentence
            self.parent = parent
        }
    }

    /// Logits of the next token for each row, [rows, V].
    public func step(_ rows: [Row]) throws -> Tensor {
        let context = model.context, d = model.configuration.dim
        if position > 0 {
            paths = rows.map { row in paths[row.parent] + [Int32(row.parent)] }
        } else {
            paths = rows.map { _ in [] }
        }
        var x = embed(rows)
        var reports: [BlockReport] = []
        for (index, layer) in model.decoder.enumerated() {
            let projections = layer.selfAttention.projections(layer.selfAttentionNorm(x, pass), pass).value
            cache[index].append(projections)
            let attended = context.uninitialized(rows.count, d)
            CachedAttentionKernel.run(
                context, queries: projections, entries: ownEntries(layer: index, rows: rows.count),
                heads: layer.selfAttention.heads, headDim: d / layer.selfAttention.heads, into: attended)
            x = add(attended, through: layer.selfAttention.output, to: x)
            let queries = layer.crossAttention.queries(layer.crossAttentionNorm(x, pass), pass).value
            let informed = context.uninitialized(rows.count, d)
            CachedAttentionKernel.run(
                context, queries: queries, entries: memoryEntries(layer: index, rows),
                heads: layer.crossAttention.heads, headDim: d / layer.crossAttention.heads, into: informed)
            x = add(informed, through: layer.crossAttention.output, to: x)
            x = try layer.feedForward(x, pass, lossScale: 0, reports: &reports)
        }
        position += 1
        let states = model.decoderNorm(x, pass).value
        let logits = context.uninitialized(rows.count, model.vocabulary)
        MatrixProduct.forward(context, x: states, w: model.embedding.weight.value, into: logits)
        return logits
    }

    private func embed(_ rows: [Row]) -> Variable {
        let context = model.context
        let positions = model.embedding.positions(position + 1, context)
        let x = context.uninitialized(rows.count, model.configuration.dim)
        EmbeddingKernel.forward(
            context, tokens: rows.map(\.token), segments: Segments(lengths: rows.map { _ in 1 }),
            weight: model.embedding.weight.value, sinusoids: positions.rows(position..<position + 1), mask: .none, into: x)
        return Variable(x)
    }

    private func add(_ attended: Tensor, through output: Linear, to residual: Variable) -> Variable {
        let y = pass.tape.linear(Variable(attended), weight: output.weight, bias: nil)
        return pass.tape.residualDropout(residual: residual, y: y, bias: output.bias, mask: .none)
    }

    private func ownEntries(layer: Int, rows: Int) -> CachedAttentionKernel.Entries {
        let d = model.configuration.dim
        var entries = CachedAttentionKernel.Entries(valueOffset: d)
        let steps = cache[layer]
        for row in 0..<rows {
            for (earlier, ancestor) in paths[row].enumerated() {
                entries.rows.append(UnsafePointer(steps[earlier].row(Int(ancestor)) + d))
            }
            entries.rows.append(UnsafePointer(steps[position].row(row) + d))
            entries.endRow()
        }
        return entries
    }

    private func memoryEntries(layer: Int, _ rows: [Row]) -> CachedAttentionKernel.Entries {
        var entries = CachedAttentionKernel.Entries(valueOffset: model.configuration.dim)
        for row in rows {
            for token in memorySegments.range(row.sentence) {
                entries.rows.append(UnsafePointer(memory[layer].row(token)))
            }
            entries.endRow()
        }
        return entries
    }
}
