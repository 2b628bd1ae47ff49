import TensorCore
import Testing
import _TestSupport

/// Rows by index against loops written out. Widths below, at, between and above the vectors'; rows over several pieces.
@Suite struct RowKernelsTests {
    private static let columns = [1, 15, 16, 32, 40, 67]

    private static func matrix(_ context: ComputeContext, _ rows: Int, _ columns: Int, seed: UInt64) -> Tensor {
        context.tensor(normalValues(rows * columns, seed: seed), rows: rows, columns: columns)
    }

    @Test(arguments: columns, [1, 2]) func gather(columns: Int, threads: Int) {
        let context = ComputeContext(threads: threads), x = Self.matrix(context, 50, columns, seed: 1)
        for count in [0, 1, 300] {
            let indices = drawnTokens(count, of: 0..<50, seed: 2), out = context.uninitialized(count, columns)
            RowKernels.gather(context, x, indices, into: out)
            #expect(out.elements == indices.flatMap { x.rows(Int($0)..<Int($0) + 1).elements })
        }
    }

    @Test(arguments: columns, [1, 2]) func scatterAdd(columns: Int, threads: Int) {
        let context = ComputeContext(threads: threads), x = Self.matrix(context, 400, columns, seed: 1)
        // Every second row, backwards.
        let indices = (0..<200).map { Int32(399 - 2 * $0) }
        let rows = Self.matrix(context, 200, columns, seed: 2)
        var expected = x.elements
        for (i, index) in indices.enumerated() {
            for c in 0..<columns { expected[Int(index) * columns + c] += rows[i, c] }
        }
        RowKernels.scatterAdd(context, rows, indices, to: x)
        #expect(x.elements == expected)
        RowKernels.scatterAdd(context, context.uninitialized(0, columns), [], to: x)
        #expect(x.elements == expected)
    }

    /// Slots for `tokens` · `k` choices: a row each, in a scrambled order, none for every third choice.
    private static func slots(_ tokens: Int, _ k: Int) -> (slots: [Int32], rows: Int) {
        var slots = [Int32](repeating: -1, count: tokens * k), rows: Int32 = 0
        for index in slots.indices.reversed() where (index * 7) % 3 != 0 {
            slots[index] = rows
            rows += 1
        }
        return (slots, Int(rows))
    }

    @Test(arguments: columns, [1, 2]) func sumChoices(columns: Int, threads: Int) {
        let context = ComputeContext(threads: threads)
        for (tokens, k) in [(0, 2), (1, 1), (300, 1), (300, 2)] {
            let (slots, count) = Self.slots(tokens, k), rows = Self.matrix(context, count, columns, seed: 3)
            let out = context.uninitialized(tokens, columns)
            out.fill(.nan)
            RowKernels.sumChoices(context, rows, slots: slots, choices: k, into: out)
            let expected = (0..<tokens).flatMap { t in
                (0..<columns).map { c in
                    (0..<k).reduce(0 as Float) { $0 + (slots[t * k + $1] < 0 ? 0 : rows[Int(slots[t * k + $1]), c]) }
                }
            }
            #expect(out.elements == expected, "\(tokens) tokens, \(k) choices")
        }
    }

    struct Example: Sendable {
        let columns: Int
        let k: Int
        let probability: Float
    }

    static let examples = columns.flatMap { columns in
        [1, 2].flatMap { k in [0, 0.4].map { Example(columns: columns, k: k, probability: $0) } }
    }

    /// Each token's choices in a rotation of their own: dropout draws by the expert, not by the place in the list.
    private static func experts(_ tokens: Int, _ k: Int) -> [Int32] {
        (0..<tokens * k).map { Int32(($0 / k + 3 * ($0 % k)) % 5) }
    }

    private static func mixture(_ example: Example) -> (mixture: RowKernels.Mixture, rows: Int) {
        let tokens = 150, k = example.k, (slots, rows) = slots(tokens, k)
        let mixture = RowKernels.Mixture(
            slots: slots, weights: normalValues(tokens * k, seed: 5), choices: k,
            tokens: (0..<tokens).map { Int32(2 * $0 + 1) }, experts: experts(tokens, k), expertCount: 5,
            mask: DropoutMask(probability: example.probability, key: RandomKey(seed: 6)))
        return (mixture, rows)
    }

    @Test(arguments: examples, [1, 2]) func addMixture(example: Example, threads: Int) throws {
        let context = ComputeContext(threads: threads), d = example.columns
        let (mixture, rows) = Self.mixture(example)
        let x = Self.matrix(context, 302, d, seed: 7), outputs = Self.matrix(context, rows, d, seed: 8)
        var expected = x.elements.map(Double.init)
        for (index, slot) in mixture.slots.enumerated() where slot >= 0 {
            let token = Int(mixture.tokens[index / example.k]), row = token * 5 + Int(Self.experts(150, example.k)[index])
            for c in 0..<d {
                let factor = mixture.mask.factor(row: row, column: c, columns: d)
                expected[token * d + c] += Double(mixture.weights[index]) * Double(factor) * Double(outputs[Int(slot), c])
            }
        }
        RowKernels.addMixture(context, mixture, outputs: outputs, to: x)
        try expectClose(x.elements, expected.map { Float($0) }, tolerance: 1e-6, "mixture")
    }

    @Test(arguments: examples, [1, 2]) func mixtureBackward(example: Example, threads: Int) throws {
        let context = ComputeContext(threads: threads), d = example.columns
        let (mixture, rows) = Self.mixture(example)
        let dx = Self.matrix(context, 302, d, seed: 7), outputs = Self.matrix(context, rows, d, seed: 8)
        let doutputs = context.uninitialized(rows, d)
        doutputs.fill(.nan)
        let dweights = RowKernels.mixtureBackward(context, mixture, dx: dx, outputs: outputs, into: doutputs)
        var expected = [Double](repeating: 0, count: rows * d), weights = [Double](repeating: 0, count: dweights.count)
        for (index, slot) in mixture.slots.enumerated() where slot >= 0 {
            let token = Int(mixture.tokens[index / example.k]), row = token * 5 + Int(Self.experts(150, example.k)[index])
            for c in 0..<d {
                let masked = Double(mixture.mask.factor(row: row, column: c, columns: d)) * Double(dx[token, c])
                expected[Int(slot) * d + c] = Double(mixture.weights[index]) * masked
                weights[index] += masked * Double(outputs[Int(slot), c])
            }
        }
        try expectClose(doutputs.elements, expected.map { Float($0) }, tolerance: 1e-6, "gradient of the outputs")
        try expectClose(dweights, weights.map { Float($0) }, tolerance: 2e-6, "gradient of the weights")
    }
}
