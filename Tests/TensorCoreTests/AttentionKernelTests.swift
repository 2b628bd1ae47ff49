@testable import TensorCore
import Testing
import _TestSupport

private typealias Matrix = NaiveKernels.Matrix

/// Sentence lengths of queries and of keys.
private let shapes: [(queries: [Int], keys: [Int])] = [
    ([], []), ([1], [1]), ([1, 1, 1], [1, 1, 1]), ([5, 1, 26, 17], [5, 1, 26, 17]), ([33, 2, 16], [33, 2, 16]),
    ([3, 1, 20], [18, 40, 1]), ([0, 4, 0], [3, 2, 0]), ([4, 3], [0, 5]), ([130, 9], [130, 9]), ([7], [150]),
]

@Suite struct AttentionKernelTests {
    @Test(arguments: shapes.indices, [1, 7, 16, 24, 31, 32, 33, 64])
    func agreesWithTheDefinition(shape: Int, headDim: Int) {
        let (queryLengths, keyLengths) = shapes[shape]
        let queries = Segments(lengths: queryLengths), keys = Segments(lengths: keyLengths)
        for causal in [false, true] where !causal || queries == keys {
            for probability: Float in [0, 0.3] {
                let mask = DropoutMask(probability: probability, key: RandomKey(seed: 5))
                let deviations = deviations(
                    heads: 2, headDim: headDim, causal: causal, queries: queries, keys: keys, mask: mask, threads: 2)
                #expect(deviations.max()! < 2e-5, "causal \(causal), dropout \(probability): \(deviations)")
            }
        }
    }

    @Test func bitsDoNotDependOnThreads() {
        let segments = Segments(lengths: [12, 1, 40, 7, 26, 3, 90])
        #expect(
            isIndependentOfThreads { context in
                let kernel = AttentionKernel(
                    heads: 4, headDim: 24, causal: true, querySegments: segments, keySegments: segments,
                    mask: DropoutMask(probability: 0.2, key: RandomKey(seed: 4)))
                return run(context, kernel, width: 3 * 96)
            })
    }

    @Test func otherColumnsAreLeftAlone() {
        let context = ComputeContext(), segments = Segments(lengths: [6, 3])
        let kernel = AttentionKernel(
            heads: 2, headDim: 7, causal: false, querySegments: segments, keySegments: segments, mask: .none)
        let gradient = context.uninitialized(9, 3 * 14 + 5), x = context.normal(9, 47, seed: 1)
        gradient.fill(42)
        let p = context.uninitialized(1, kernel.probabilityCount), out = context.uninitialized(9, 14)
        kernel.forward(
            context, queries: .init(x, from: 0), keys: .init(x, from: 14), values: .init(x, from: 28), probabilities: p,
            into: out)
        kernel.backward(
            context, doutput: context.normal(9, 14, seed: 2), queries: .init(x, from: 0), keys: .init(x, from: 14),
            values: .init(x, from: 28), probabilities: p, dqueries: .init(gradient, from: 0), dkeys: .init(gradient, from: 14),
            dvalues: .init(gradient, from: 28))
        for row in 0..<9 {
            for c in 0..<42 { #expect(gradient[row, c] != 42) }
            for c in 42..<47 { #expect(gradient[row, c] == 42) }
        }
    }

    @Test func extremeScoresStaySound() {
        let context = ComputeContext(), segments = Segments(lengths: [9])
        let kernel = AttentionKernel(
            heads: 1, headDim: 16, causal: true, querySegments: segments, keySegments: segments, mask: .none)
        let x = context.normal(9, 48, seed: 1, deviation: 1e4)
        let p = context.uninitialized(1, kernel.probabilityCount), out = context.uninitialized(9, 16)
        kernel.forward(
            context, queries: .init(x, from: 0), keys: .init(x, from: 16), values: .init(x, from: 32), probabilities: p,
            into: out)
        #expect(out.elements.allSatisfy { $0.isFinite })
        #expect((0..<16).allSatisfy { out[0, $0] == x[0, 32 + $0] })
    }

    /// Every element dropped or kept for itself: of weights that are all equal, about the given share is gone.
    @Test func dropoutDropsSingleWeights() {
        let context = ComputeContext(), segments = Segments(lengths: [40, 24])
        let mask = DropoutMask(probability: 0.25, key: RandomKey(seed: 2))
        let kernel = AttentionKernel(
            heads: 2, headDim: 40, causal: false, querySegments: segments, keySegments: segments, mask: mask)
        let x = context.zeros(64, 3 * 80)
        // Values are unit vectors: output column j of a head is the weight of key j.
        for row in 0..<64 { for head in 0..<2 { x[row, 160 + head * 40 + row % 40] = 1 } }
        let p = context.uninitialized(1, kernel.probabilityCount), out = context.uninitialized(64, 80)
        kernel.forward(
            context, queries: .init(x, from: 0), keys: .init(x, from: 80), values: .init(x, from: 160), probabilities: p,
            into: out)
        var dropped = 0
        for row in 0..<40 {
            for c in 0..<80 {
                #expect(out[row, c] == 0 || abs(out[row, c] - mask.scale / 40) < 1e-6)
                if out[row, c] == 0 { dropped += 1 }
            }
        }
        #expect(abs(Double(dropped) / 3200 - 0.25) < 0.04)
        #expect((0..<40).map { out[$0, 3] == 0 } != (0..<40).map { out[$0, 43] == 0 }, "heads draw for themselves")
    }

    private func run(_ context: ComputeContext, _ kernel: AttentionKernel, width: Int) -> [Tensor] {
        let rows = kernel.querySegments.rows, d = kernel.heads * kernel.headDim
        let x = context.normal(rows, width, seed: 1), p = context.zeros(1, kernel.probabilityCount)
        let out = context.zeros(rows, d), gradient = context.zeros(rows, width)
        kernel.forward(
            context, queries: .init(x, from: 0), keys: .init(x, from: d), values: .init(x, from: 2 * d), probabilities: p,
            into: out)
        kernel.backward(
            context, doutput: context.normal(rows, d, seed: 2), queries: .init(x, from: 0), keys: .init(x, from: d),
            values: .init(x, from: 2 * d), probabilities: p, dqueries: .init(gradient, from: 0),
            dkeys: .init(gradient, from: d), dvalues: .init(gradient, from: 2 * d))
        return [out, gradient]
    }

    /// Of the output and of the three gradients, from the naive twin with the kernel's own mask.
    private func deviations(
        heads: Int, headDim: Int, causal: Bool, queries: Segments, keys: Segments, mask: DropoutMask, threads: Int
    ) -> [Double] {
        let context = ComputeContext(threads: threads), d = heads * headDim
        let kernel = AttentionKernel(
            heads: heads, headDim: headDim, causal: causal, querySegments: queries, keySegments: keys, mask: mask)
        let q = context.normal(queries.rows, d + 3, seed: 1), kv = context.normal(keys.rows, 2 * d + 1, seed: 2)
        let g = context.normal(queries.rows, d, seed: 3)
        let p = context.uninitialized(1, kernel.probabilityCount), out = context.uninitialized(queries.rows, d)
        p.fill(.nan)
        out.fill(.nan)
        kernel.forward(
            context, queries: .init(q, from: 2), keys: .init(kv, from: 0), values: .init(kv, from: d + 1), probabilities: p,
            into: out)
        let dq = context.uninitialized(queries.rows, d), dkv = context.uninitialized(keys.rows, 2 * d)
        dq.fill(.nan)
        dkv.fill(.nan)
        kernel.backward(
            context, doutput: g, queries: .init(q, from: 2), keys: .init(kv, from: 0), values: .init(kv, from: d + 1),
            probabilities: p, dqueries: .init(dq, from: 0), dkeys: .init(dkv, from: 0), dvalues: .init(dkv, from: d))

        let twin = NaiveKernels.Attention(heads: heads, causal: causal, queries: queries, keys: keys) {
            Double(kernel.dropoutFactor(sentence: $0, head: $1, query: $2, key: $3))
        }
        let all = 0..<queries.rows, (naiveQ, naiveKV) = (Matrix(q).part(all, 2..<d + 2), Matrix(kv))
        let k = naiveKV.part(0..<keys.rows, 0..<d), v = naiveKV.part(0..<keys.rows, d + 1..<2 * d + 1)
        let expected = twin.backward(doutput: Matrix(g), q: naiveQ, k: k, v: v)
        let dk = Matrix(dkv).part(0..<keys.rows, 0..<d), dv = Matrix(dkv).part(0..<keys.rows, d..<2 * d)
        return [
            NaiveKernels.deviation(out, twin.forward(q: naiveQ, k: k, v: v)), NaiveKernels.deviation(dq, expected.dq),
            NaiveKernels.deviation(dk.elements.map(Float.init), expected.dk.elements),
            NaiveKernels.deviation(dv.elements.map(Float.init), expected.dv.elements),
        ]
    }
}
