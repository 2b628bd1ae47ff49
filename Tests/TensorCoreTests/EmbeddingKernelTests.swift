import Foundation
import TensorCore
import Testing
import _TestSupport

private typealias Matrix = NaiveKernels.Matrix

@Suite struct EmbeddingKernelTests {
    @Test(arguments: widths, [[], [1], [4, 1, 9]])
    func agreesWithTheDefinition(d: Int, lengths: [Int]) {
        let context = ComputeContext(threads: 2), segments = Segments(lengths: lengths), rows = segments.rows
        let tokens = (0..<rows).map { Int32($0 * 5 % 11) }
        let weight = context.normal(11, d, seed: 1), table = EmbeddingKernel.sinusoids(context, length: 9, dim: d)
        for mask in [DropoutMask.none, DropoutMask(probability: 0.2, key: RandomKey(seed: 1))] {
            var expected = Matrix(rows: rows, columns: d)
            for s in 0..<segments.count {
                for row in segments.range(s) {
                    for c in 0..<d {
                        let value =
                            Double(weight[Int(tokens[row]), c]) * Double(d).squareRoot()
                            + Double(table[row - segments.offsets[s], c])
                        expected[row, c] = value * Double(mask.factor(row: row, column: c, columns: d))
                    }
                }
            }
            let out = context.uninitialized(rows, d)
            EmbeddingKernel.forward(
                context, tokens: tokens, segments: segments, weight: weight, sinusoids: table, mask: mask, into: out)
            #expect(NaiveKernels.deviation(out, expected) < 1e-6)
        }
        let dout = context.normal(rows, d, seed: 2), dweight = context.normal(11, d, seed: 3)
        var gradient = Matrix(dweight)
        for row in 0..<rows {
            for c in 0..<d { gradient[Int(tokens[row]), c] += Double(d).squareRoot() * Double(dout[row, c]) }
        }
        EmbeddingKernel.backward(context, tokens: tokens, dout: dout, into: dweight)
        #expect(NaiveKernels.deviation(dweight, gradient) < 1e-6)
    }

    @Test func sinusoidsFollowTheirFormula() {
        let context = ComputeContext()
        let table = EmbeddingKernel.sinusoids(context, length: 50, dim: 8)
        for position in [0, 1, 49] {
            for i in 0..<4 {
                let angle = Double(position) / pow(10000, Double(i) / 3)
                #expect(abs(Double(table[position, i]) - sin(angle)) < 1e-6)
                #expect(abs(Double(table[position, 4 + i]) - cos(angle)) < 1e-6)
            }
        }
        for dim in [1, 2, 3, 7] {
            #expect(EmbeddingKernel.sinusoids(context, length: 5, dim: dim).elements.allSatisfy { $0.isFinite })
        }
    }

    @Test func bitsDoNotDependOnThreads() {
        #expect(
            isIndependentOfThreads { context in
                let segments = Segments(lengths: (0..<40).map { $0 % 7 }), tokens = (0..<segments.rows).map { Int32($0 % 13) }
                let out = context.zeros(segments.rows, 250), dweight = context.zeros(13, 250)
                EmbeddingKernel.forward(
                    context, tokens: tokens, segments: segments, weight: context.normal(13, 250, seed: 1),
                    sinusoids: EmbeddingKernel.sinusoids(context, length: 8, dim: 250),
                    mask: DropoutMask(probability: 0.1, key: RandomKey(seed: 2)), into: out)
                EmbeddingKernel.backward(
                    context, tokens: tokens, dout: context.normal(segments.rows, 250, seed: 3), into: dweight)
                return [out, dweight]
            })
    }
}
