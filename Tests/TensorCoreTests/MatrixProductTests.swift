import TensorCore
import Testing
import _TestSupport

private typealias Matrix = NaiveKernels.Matrix

@Suite struct MatrixProductTests {
    @Test(arguments: widths, [(0, 5), (1, 1), (7, 33), (131, 24), (700, 3)])
    func productsAgreeWithTheDefinition(k: Int, rowsAndOutputs: (Int, Int)) {
        let (rows, n) = rowsAndOutputs
        for threads in 1...3 {
            let context = ComputeContext(threads: threads)
            let x = context.normal(rows, k, seed: 1), w = context.normal(n, k, seed: 2), dy = context.normal(rows, n, seed: 3)
            let y = context.uninitialized(rows, n)
            y.fill(.nan)
            MatrixProduct.forward(context, x: x, w: w, into: y)
            #expect(NaiveKernels.deviation(y, Matrix(x) * Matrix(w).transposed) < 2e-6)

            let dx = context.uninitialized(rows, k)
            dx.fill(.nan)
            MatrixProduct.backwardInput(context, dy: dy, w: w, into: dx)
            #expect(NaiveKernels.deviation(dx, Matrix(dy) * Matrix(w)) < 2e-6)
            MatrixProduct.backwardInput(context, dy: dy, w: w, accumulate: true, into: dx)
            let once = Matrix(dy) * Matrix(w)
            #expect(NaiveKernels.deviation(dx, once + once) < 2e-6)

            let dw = context.normal(n, k, seed: 4), before = Matrix(dw)
            MatrixProduct.backwardWeight(context, dy: dy, x: x, into: dw)
            #expect(NaiveKernels.deviation(dw, before + Matrix(dy).transposed * Matrix(x)) < 4e-6)
        }
    }

    @Test(arguments: 1...4, [5, 300]) func finishSeesEveryRowOnceAndComplete(threads: Int, outputs: Int) {
        for rows in [1, 7, 63, 64, 513, 1500] {
            let context = ComputeContext(threads: threads)
            let x = context.normal(rows, 8, seed: 1), w = context.normal(outputs, 8, seed: 2)
            let negated = context.uninitialized(rows, outputs), pointer = negated.pointer
            MatrixProduct.forward(context, x: x, w: w, into: negated) { range in
                for i in range.lowerBound * outputs..<range.upperBound * outputs { pointer[i] = -pointer[i] }
            }
            var expected = Matrix(x) * Matrix(w).transposed
            expected.elements = expected.elements.map { -$0 }
            #expect(NaiveKernels.deviation(negated, expected) < 1e-6)
        }
    }

    /// Bands differ with the number of threads, and OpenBLAS may sum differently in another band: with it, bits are promised
    /// for a given number of threads only.
    @Test(arguments: 1...4) func theSameThreadsGiveTheSameBits(threads: Int) {
        func run() -> [[UInt32]] {
            let context = ComputeContext(threads: threads)
            let x = context.normal(800, 96, seed: 1), w = context.normal(80, 96, seed: 2), dy = context.normal(800, 80, seed: 3)
            let y = context.zeros(800, 80), dx = context.zeros(800, 96), dw = context.zeros(80, 96)
            MatrixProduct.forward(context, x: x, w: w, into: y)
            MatrixProduct.backwardInput(context, dy: dy, w: w, into: dx)
            MatrixProduct.backwardWeight(context, dy: dy, x: x, into: dw)
            return [y.bits, dx.bits, dw.bits]
        }
        #expect(run() == run())
    }

    @Test(.enabled(if: GEMM.kernels != .openBLAS)) func stratasKernelsGiveTheSameBitsOnAnyThreads() {
        #expect(
            isIndependentOfThreads { context in
                let x = context.normal(800, 600, seed: 1), w = context.normal(80, 600, seed: 2),
                    dy = context.normal(800, 80, seed: 3)
                let y = context.zeros(800, 80), dx = context.zeros(800, 600), dw = context.zeros(80, 600)
                MatrixProduct.forward(context, x: x, w: w, into: y)
                MatrixProduct.backwardInput(context, dy: dy, w: w, into: dx)
                MatrixProduct.backwardWeight(context, dy: dy, x: x, into: dw)
                return [y, dx, dw]
            })
    }
}
