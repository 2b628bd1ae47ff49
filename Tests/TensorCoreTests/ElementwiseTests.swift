import TensorCore
import Testing
import _TestSupport

private typealias Matrix = NaiveKernels.Matrix

@Suite struct ElementwiseTests {
    @Test(arguments: widths, rowCounts)
    func residualDropoutAgreesWithTheMask(d: Int, rows: Int) {
        let context = ComputeContext(threads: 2)
        let residual = context.normal(rows, d, seed: 1), y = context.normal(rows, d, seed: 2),
            bias = context.normal(1, d, seed: 3)
        for mask in [DropoutMask.none, DropoutMask(probability: 0.3, key: RandomKey(seed: 9))] {
            for bias in [bias, nil] {
                var expected = Matrix(residual), masked = Matrix(y)
                for row in 0..<rows {
                    for c in 0..<d {
                        let factor = Double(mask.factor(row: row, column: c, columns: d))
                        expected[row, c] += factor * Double(y[row, c] + (bias?[0, c] ?? 0))
                        masked[row, c] *= factor
                    }
                }
                let out = context.uninitialized(rows, d)
                Elementwise.residualDropout(context, residual: residual, y: y, bias: bias, mask: mask, into: out)
                #expect(NaiveKernels.deviation(out, expected) < 1e-6)
                let overY = context.copy(y), overResidual = context.copy(residual)
                Elementwise.residualDropout(context, residual: residual, y: overY, bias: bias, mask: mask, into: overY)
                Elementwise.residualDropout(context, residual: overResidual, y: y, bias: bias, mask: mask, into: overResidual)
                #expect(overY.bits == out.bits && overResidual.bits == out.bits)

                let dropped = context.uninitialized(rows, d)
                Elementwise.dropout(context, y, mask: mask, into: dropped)
                #expect(NaiveKernels.deviation(dropped, masked) < 1e-6)
            }
        }
    }

    @Test(arguments: widths, rowCounts)
    func sums(d: Int, rows: Int) {
        let context = ComputeContext(threads: 2)
        let y = context.normal(rows, d, seed: 1), sums = context.normal(1, d, seed: 2),
            expected = Matrix(sums) + Matrix(y).columnSums
        Elementwise.addColumnSums(context, of: y, to: sums)
        #expect(NaiveKernels.deviation(sums, expected) < 1e-5)

        let half = y.count / 2
        let totals = Elementwise.sumsOfSquares(context, y.buffer, chunks: [0..<half, half..<y.count])
        for (total, elements) in zip(totals, [y.elements[..<half], y.elements[half...]]) {
            let squares = elements.reduce(0.0) { $0 + Double($1) * Double($1) }
            #expect(abs(total - squares) <= 1e-6 * squares)
        }

        let target = context.normal(rows, d, seed: 3), added = Matrix(target) + Matrix(y)
        Elementwise.add(context, y, to: target)
        #expect(NaiveKernels.deviation(target, added) < 1e-6)
    }

    @Test func aChunksSumIsItsOwn() {
        let context = ComputeContext(threads: 2), values = context.normal(1, 9001, seed: 4)
        let chunks = stride(from: 0, to: 9001, by: 300).map { $0..<min($0 + 300, 9001) }
        let together = Elementwise.sumsOfSquares(context, values.buffer, chunks: chunks)
        #expect(together == chunks.flatMap { Elementwise.sumsOfSquares(context, values.buffer, chunks: [$0]) })
        #expect(Elementwise.sumsOfSquares(context, values.buffer, chunks: []) == [])
    }

    @Test func bitsDoNotDependOnThreads() {
        #expect(
            isIndependentOfThreads { context in
                let x = context.normal(400, 250, seed: 1), y = context.normal(400, 250, seed: 2)
                let mask = DropoutMask(probability: 0.1, key: RandomKey(seed: 3))
                let residual = context.zeros(400, 250), dropped = context.zeros(400, 250), sums = context.zeros(1, 250)
                Elementwise.residualDropout(context, residual: x, y: y, bias: nil, mask: mask, into: residual)
                Elementwise.dropout(context, x, mask: mask, into: dropped)
                Elementwise.addColumnSums(context, of: x, to: sums)
                let chunks = (0..<25).map { 4000 * $0..<4000 * ($0 + 1) }
                let squares = Elementwise.sumsOfSquares(context, x.buffer, chunks: chunks).map(Float.init)
                return [residual, dropped, sums, context.tensor(squares, rows: 1, columns: squares.count)]
            })
    }
}
