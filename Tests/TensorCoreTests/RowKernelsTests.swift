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

    /// How many choices the tokens have.
    enum Choices: Sendable, CaseIterable {
        case one, two
        /// None, one, two, three, none, …
        case ragged

        func offsets(tokens: Int) -> [Int32] {
            (0..<tokens).reduce(into: [0]) { offsets, token in
                let count: Int32 =
                    switch self {
                    case .one: 1
                    case .two: 2
                    case .ragged: Int32(token % 4)
                    }
                offsets.append(offsets[token] + count)
            }
        }
    }

    /// Slots for `count` choices: a row each, in a scrambled order, none for every third choice.
    private static func slots(_ count: Int) -> (slots: [Int32], rows: Int) {
        var slots = [Int32](repeating: -1, count: count), rows: Int32 = 0
        for index in slots.indices.reversed() where (index * 7) % 3 != 0 {
            slots[index] = rows
            rows += 1
        }
        return (slots, Int(rows))
    }

    @Test(arguments: columns, [1, 2]) func sumChoices(columns: Int, threads: Int) {
        let context = ComputeContext(threads: threads)
        for choices in Choices.allCases {
            for tokens in [0, 1, 300] {
                let offsets = choices.offsets(tokens: tokens), (slots, count) = Self.slots(Int(offsets[tokens]))
                let rows = Self.matrix(context, count, columns, seed: 3)
                let out = context.uninitialized(tokens, columns)
                out.fill(.nan)
                RowKernels.sumChoices(context, rows, slots: slots, offsets: offsets, into: out)
                let expected = (0..<tokens).flatMap { t in
                    (0..<columns).map { c in
                        slots[Int(offsets[t])..<Int(offsets[t + 1])].reduce(0 as Float) {
                            $0 + ($1 < 0 ? 0 : rows[Int($1), c])
                        }
                    }
                }
                #expect(out.elements == expected, "\(tokens) tokens, \(choices)")
            }
        }
    }

    struct Example: Sendable {
        let columns: Int
        let choices: Choices
        let probability: Float
    }

    static let examples = columns.flatMap { columns in
        Choices.allCases.flatMap { choices in
            [0, 0.4].map { Example(columns: columns, choices: choices, probability: $0) }
        }
    }

    /// A mixture of 150 tokens, and by choice its token and its expert: each token's in a rotation of their own, for dropout draws
    /// by the expert, not by the place in the list.
    private static func weightedSum(
        _ example: Example
    ) -> (sum: RowKernels.WeightedSum, rows: Int, tokens: [Int], experts: [Int32]) {
        let tokens = 150, offsets = example.choices.offsets(tokens: tokens), (slots, rows) = slots(Int(offsets[tokens]))
        var choiceTokens: [Int] = [], experts: [Int32] = []
        for token in 0..<tokens {
            for choice in 0..<Int(offsets[token + 1] - offsets[token]) {
                choiceTokens.append(token)
                experts.append(Int32((token + 3 * choice) % 5))
            }
        }
        let sum = RowKernels.WeightedSum(
            slots: slots, weights: normalValues(slots.count, seed: 5), offsets: offsets,
            tokens: (0..<tokens).map { Int32(2 * $0 + 1) }, experts: experts, expertCount: 5,
            mask: DropoutMask(probability: example.probability, key: RandomKey(seed: 6)))
        return (sum, rows, choiceTokens.map { Int(sum.tokens[$0]) }, experts)
    }

    @Test(arguments: examples, [1, 2]) func addWeightedSum(example: Example, threads: Int) throws {
        let context = ComputeContext(threads: threads), d = example.columns
        let (sum, rows, tokens, experts) = Self.weightedSum(example)
        let x = Self.matrix(context, 302, d, seed: 7), outputs = Self.matrix(context, rows, d, seed: 8)
        var expected = x.elements.map(Double.init)
        for (index, slot) in sum.slots.enumerated() where slot >= 0 {
            let token = tokens[index], row = token * 5 + Int(experts[index])
            for c in 0..<d {
                let factor = sum.mask.factor(row: row, column: c, columns: d)
                expected[token * d + c] += Double(sum.weights[index]) * Double(factor) * Double(outputs[Int(slot), c])
            }
        }
        RowKernels.addWeightedSum(context, sum, outputs: outputs, to: x)
        try expectClose(x.elements, expected.map { Float($0) }, tolerance: 1e-6, "mixture")
    }

    @Test(arguments: examples, [1, 2]) func weightedSumBackward(example: Example, threads: Int) throws {
        let context = ComputeContext(threads: threads), d = example.columns
        let (sum, rows, tokens, experts) = Self.weightedSum(example)
        let dx = Self.matrix(context, 302, d, seed: 7), outputs = Self.matrix(context, rows, d, seed: 8)
        let doutputs = context.uninitialized(rows, d)
        doutputs.fill(.nan)
        let dweights = RowKernels.weightedSumBackward(context, sum, dx: dx, outputs: outputs, into: doutputs)
        var expected = [Double](repeating: 0, count: rows * d), weights = [Double](repeating: 0, count: dweights.count)
        for (index, slot) in sum.slots.enumerated() where slot >= 0 {
            let token = tokens[index], row = token * 5 + Int(experts[index])
            for c in 0..<d {
                let masked = Double(sum.mask.factor(row: row, column: c, columns: d)) * Double(dx[token, c])
                expected[Int(slot) * d + c] = Double(sum.weights[index]) * masked
                weights[index] += masked * Double(outputs[Int(slot), c])
            }
        }
        try expectClose(doutputs.elements, expected.map { Float($0) }, tolerance: 1e-6, "gradient of the outputs")
        try expectClose(dweights, weights.map { Float($0) }, tolerance: 2e-6, "gradient of the weights")
    }
}
