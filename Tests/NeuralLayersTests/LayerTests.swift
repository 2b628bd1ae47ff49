import Autograd
import NeuralLayers
import TensorCore
import Testing
import _TestSupport

private typealias Matrix = NaiveKernels.Matrix

@Suite struct LayerTests {
    private let context = ComputeContext(threads: 2)

    private func pass(training: Bool = true, seed: UInt64 = 1) -> ForwardPass {
        ForwardPass(tape: Tape(context, recording: training), isTraining: training, key: RandomKey(seed: seed))
    }

    private func names(_ store: ParameterStore) -> [String] { store.locations(.replicated).map(\.slice.name) }

    /// Gives every parameter normal values: constants such as a gain of 1 would hide what they do.
    private func randomize(_ store: ParameterStore) {
        for (index, parameter) in store.parameters.enumerated() {
            parameter.value.copy(from: context.normal(parameter.rows, parameter.columns, seed: 100 + index, deviation: 0.5))
        }
    }

    private func affine(_ x: Matrix, _ weight: Matrix, _ bias: Matrix) -> Matrix {
        var y = x * weight.transposed
        for row in 0..<y.rows { for c in 0..<y.columns { y[row, c] += bias[0, c] } }
        return y
    }

    @Test func linear() {
        let store = ParameterStore(), layer = Linear(names: ["a", "b"], inputSize: 5, outputSizeEach: 3, store: store)
        store.materialize(context, seed: 1)
        #expect(names(store) == ["a.weight", "b.weight", "a.bias", "b.bias"])
        #expect(layer.bias.value.elements.allSatisfy { $0 == 0 })
        randomize(store)
        let x = context.normal(4, 5, seed: 1)
        #expect(
            NaiveKernels.deviation(
                layer(Variable(x), pass()).value, affine(Matrix(x), Matrix(layer.weight.value), Matrix(layer.bias.value)))
                < 1e-5)
    }

    @Test func layerNorm() {
        let store = ParameterStore(), layer = LayerNorm(name: "norm", dim: 24, store: store)
        store.materialize(context, seed: 1)
        #expect(names(store) == ["norm.weight", "norm.bias"])
        #expect(layer.gain.value.elements == Array(repeating: 1, count: 24))
        randomize(store)
        let x = context.normal(4, 24, seed: 1)
        let expected = NaiveKernels.layerNorm(
            Matrix(x), gain: Matrix(layer.gain.value), bias: Matrix(layer.bias.value), epsilon: Double(LayerNormKernel.epsilon))
        #expect(NaiveKernels.deviation(layer(Variable(x), pass()).value, expected) < 1e-5)
    }

    @Test func feedForward() {
        let store = ParameterStore(), layer = FeedForward(name: "ffn", dim: 6, ffnDim: 20, store: store)
        store.materialize(context, seed: 1)
        #expect(names(store) == ["ffn.fc1.weight", "ffn.fc1.bias", "ffn.fc2.weight", "ffn.fc2.bias"])
        randomize(store)
        let h = context.normal(4, 6, seed: 1), residual = context.normal(4, 6, seed: 2)
        var hidden = affine(Matrix(h), Matrix(layer.weight1.value), Matrix(layer.bias1.value))
        hidden.elements = hidden.elements.map { max(0, $0) }
        let expected = Matrix(residual) + affine(hidden, Matrix(layer.weight2.value), Matrix(layer.bias2.value))
        let y = layer(Variable(h), addedTo: Variable(residual), pass(), mask: .none)
        #expect(NaiveKernels.deviation(y.value, expected) < 1e-5)
    }

    @Test func anExpertsFeedForwardIsPlacedAsOne() {
        let store = ParameterStore()
        _ = FeedForward(name: "experts.3", dim: 6, ffnDim: 8, placement: .expert, store: store)
        #expect(store.locations(.replicated).isEmpty && store.locations(.expert).count == 4)
    }

    @Test(arguments: [false, true]) func selfAttention(causal: Bool) {
        let store = ParameterStore(), segments = Segments(lengths: [3, 1, 5])
        let layer = SelfAttention(name: "self_attn", dim: 12, heads: 3, causal: causal, store: store)
        store.materialize(context, seed: 1)
        #expect(
            names(store) == ["weight", "bias"].flatMap { kind in ["q", "k", "v"].map { "self_attn.\($0).\(kind)" } }
                + ["self_attn.out.weight", "self_attn.out.bias"])
        randomize(store)
        let h = context.normal(9, 12, seed: 1), residual = context.normal(9, 12, seed: 2)
        let projected = affine(Matrix(h), Matrix(layer.projections.weight.value), Matrix(layer.projections.bias.value))
        let parts = (0..<3).map { projected.part(0..<9, 12 * $0..<12 * $0 + 12) }
        let mixed = NaiveKernels.Attention(heads: 3, causal: causal, queries: segments, keys: segments)
            .forward(q: parts[0], k: parts[1], v: parts[2])
        let expected = Matrix(residual) + affine(mixed, Matrix(layer.output.weight.value), Matrix(layer.output.bias.value))
        let y = layer(
            Variable(h), addedTo: Variable(residual), pass(), segments: segments, attentionMask: .none, residualMask: .none)
        #expect(NaiveKernels.deviation(y.value, expected) < 1e-5)
    }

    @Test func crossAttention() {
        let store = ParameterStore(), segments = Segments(lengths: [3, 1]), memorySegments = Segments(lengths: [2, 5])
        let layer = CrossAttention(name: "cross_attn", dim: 12, heads: 2, store: store)
        store.materialize(context, seed: 1)
        #expect(
            names(store)
                == ["q.weight", "q.bias", "k.weight", "v.weight", "k.bias", "v.bias", "out.weight", "out.bias"]
                .map { "cross_attn.\($0)" })
        randomize(store)
        let h = context.normal(4, 12, seed: 1), memory = context.normal(7, 12, seed: 3),
            residual = context.normal(4, 12, seed: 2)
        let q = affine(Matrix(h), Matrix(layer.queries.weight.value), Matrix(layer.queries.bias.value))
        let kv = affine(Matrix(memory), Matrix(layer.keysAndValues.weight.value), Matrix(layer.keysAndValues.bias.value))
        let mixed = NaiveKernels.Attention(heads: 2, causal: false, queries: segments, keys: memorySegments)
            .forward(q: q, k: kv.part(0..<7, 0..<12), v: kv.part(0..<7, 12..<24))
        let expected = Matrix(residual) + affine(mixed, Matrix(layer.output.weight.value), Matrix(layer.output.bias.value))
        let y = layer(
            Variable(h), memory: Variable(memory), addedTo: Variable(residual), pass(), segments: segments,
            memorySegments: memorySegments, attentionMask: .none, residualMask: .none)
        #expect(NaiveKernels.deviation(y.value, expected) < 1e-5)
    }

    @Test func crossAttentionWeightsAreTheMeanOfTheHeads() {
        let store = ParameterStore(), segments = Segments(lengths: [3, 1]), memorySegments = Segments(lengths: [2, 5])
        let layer = CrossAttention(name: "cross_attn", dim: 12, heads: 2, store: store)
        store.materialize(context, seed: 1)
        randomize(store)
        let h = context.normal(4, 12, seed: 1), memory = context.normal(7, 12, seed: 3)
        let q = affine(Matrix(h), Matrix(layer.queries.weight.value), Matrix(layer.queries.bias.value))
        let kv = affine(Matrix(memory), Matrix(layer.keysAndValues.weight.value), Matrix(layer.keysAndValues.bias.value))
        // Values that say from which row of memory they come, and through which head.
        let places = context.zeros(7, 12)
        for sentence in 0..<2 {
            for (place, row) in memorySegments.range(sentence).enumerated() {
                for head in 0..<2 { places.pointer[12 * row + 6 * head + place] = 1 }
            }
        }
        let mixed = NaiveKernels.Attention(heads: 2, causal: false, queries: segments, keys: memorySegments)
            .forward(q: q, k: kv.part(0..<7, 0..<12), v: Matrix(places))
        let weights = layer.weights(
            Variable(h), memory: Variable(memory), pass(training: false), segments: segments, memorySegments: memorySegments)
        #expect(weights.map(\.count) == [2, 2, 2, 5])
        for (row, weights) in weights.enumerated() {
            for (place, weight) in weights.enumerated() {
                #expect(abs(Double(weight) - (mixed[row, place] + mixed[row, 6 + place]) / 2) < 1e-5)
            }
        }
    }

    @Test func embedding() {
        let store = ParameterStore(), layer = Embedding(vocabulary: 9, dim: 8, store: store)
        store.materialize(context, seed: 1)
        #expect(names(store) == ["embedding.weight"])
        let out = layer(tokens: [4, 4, 2], segments: Segments(lengths: [2, 1]), pass(), mask: .none).value
        let table = EmbeddingKernel.sinusoids(context, length: 2, dim: 8)
        for (row, (token, position)) in [(4, 0), (4, 1), (2, 0)].enumerated() {
            for c in 0..<8 {
                #expect(abs(out[row, c] - (layer.weight.value[token, c] * Float(8).squareRoot() + table[position, c])) < 1e-5)
            }
        }
    }

    /// The table grows with the sentences, and what it said of the first positions stays.
    @Test func positionsGrow() {
        let store = ParameterStore(), layer = Embedding(vocabulary: 9, dim: 8, store: store)
        let first = layer.positions(3, context), longer = layer.positions(1000, context)
        #expect(first.rows >= 3 && longer.rows >= 1000)
        #expect(longer.rows(0..<3).bits == first.rows(0..<3).bits)
        #expect(layer.positions(500, context).pointer == longer.pointer)
    }

    /// The gradient of every parameter of a small stack of layers, by central differences.
    @Test func gradientsOfAStack() throws {
        let store = ParameterStore(), segments = Segments(lengths: [3, 2]), tokens: [Int32] = [1, 4, 2, 2, 0]
        let embedding = Embedding(vocabulary: 5, dim: 4, store: store)
        let norm = LayerNorm(name: "norm", dim: 4, store: store)
        let attention = SelfAttention(name: "self", dim: 4, heads: 2, causal: true, store: store)
        let cross = CrossAttention(name: "cross", dim: 4, heads: 2, store: store)
        store.materialize(context, seed: 3)
        for parameter in store.parameters where parameter !== embedding.weight {
            for i in 0..<parameter.count { parameter.value.pointer[i] += 0.3 * Float(i % 5 - 2) }
        }
        func loss(recording: Bool) throws -> Double {
            let pass = ForwardPass(tape: Tape(context, recording: recording), isTraining: true, key: RandomKey(seed: 5))
            let x = embedding(tokens: tokens, segments: segments, pass, mask: pass.dropout(0.1, purpose: .embedding))
            let y = attention(
                norm(x, pass), addedTo: x, pass, segments: segments, attentionMask: pass.dropout(0.1, purpose: .attention),
                residualMask: pass.dropout(0.1, purpose: .residual))
            let z = cross(
                norm(y, pass), memory: y, addedTo: y, pass, segments: segments, memorySegments: segments,
                attentionMask: .none, residualMask: .none)
            let loss = pass.tape.outputLoss(
                z, weight: embedding.weight, targets: [0, 1, 2, 3, 4], smoothing: 0.1, gradientScale: 0.2)
            if recording { try pass.tape.backward() }
            return loss.smoothed * 0.2
        }
        _ = try loss(recording: true)
        for parameter in store.parameters {
            let deviation = FiniteDifference.deviation(of: parameter.gradient, at: parameter.value, step: 4e-3) {
                (try? loss(recording: false)) ?? .nan
            }
            #expect(deviation < 2e-2, "\(parameter.slices[0].name)")
        }
    }
}
