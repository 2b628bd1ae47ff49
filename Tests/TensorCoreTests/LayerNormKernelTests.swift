import TensorCore
import Testing
import _TestSupport

private typealias Matrix = NaiveKernels.Matrix

@Suite struct LayerNormKernelTests {
    @Test(arguments: widths, rowCounts)
    func agreesWithTheDefinition(d: Int, rows: Int) {
        let context = ComputeContext(threads: 2)
        let x = context.normal(rows, d, seed: 1), gain = context.normal(1, d, seed: 2), bias = context.normal(1, d, seed: 3)
        let dy = context.normal(rows, d, seed: 4)
        let y = context.uninitialized(rows, d), statistics = context.uninitialized(rows, 2)
        LayerNormKernel.forward(context, x: x, gain: gain, bias: bias, into: y, statistics: statistics)
        let epsilon = Double(LayerNormKernel.epsilon)
        #expect(
            NaiveKernels.deviation(
                y, NaiveKernels.layerNorm(Matrix(x), gain: Matrix(gain), bias: Matrix(bias), epsilon: epsilon)) < 1e-5)

        let expected = NaiveKernels.layerNormBackward(dy: Matrix(dy), x: Matrix(x), gain: Matrix(gain), epsilon: epsilon)
        for accumulate in [false, true] {
            let dx = context.normal(rows, d, seed: 5), dgain = context.normal(1, d, seed: 6),
                dbias = context.normal(1, d, seed: 7)
            let before = (Matrix(dx), Matrix(dgain), Matrix(dbias))
            LayerNormKernel.backward(
                context, dy: dy, x: x, statistics: statistics, gain: gain, into: dx, accumulate: accumulate, dgain: dgain,
                dbias: dbias)
            // A row of one or two elements has next to no deviation: 1 / sqrt(ε) magnifies the rounding of its gradient.
            let floor = d == 1 ? 100.0 : 1e-3
            #expect(NaiveKernels.deviation(dx, accumulate ? before.0 + expected.dx : expected.dx, floor: floor) < 2e-5)
            #expect(NaiveKernels.deviation(dgain, before.1 + expected.dgain) < 1e-5)
            #expect(NaiveKernels.deviation(dbias, before.2 + expected.dbias) < 1e-5)
        }
    }

    @Test func aLargeMeanDoesNotSpoilTheDeviation() {
        let context = ComputeContext()
        let x = context.normal(3, 64, seed: 1)
        for i in 0..<x.count { x.pointer[i] = x.pointer[i] / 16 + 1000 }
        let gain = context.uninitialized(1, 64), bias = context.zeros(1, 64)
        gain.fill(1)
        let y = context.uninitialized(3, 64), statistics = context.uninitialized(3, 2)
        LayerNormKernel.forward(context, x: x, gain: gain, bias: bias, into: y, statistics: statistics)
        let expected = NaiveKernels.layerNorm(
            Matrix(x), gain: Matrix(gain), bias: Matrix(bias), epsilon: Double(LayerNormKernel.epsilon))
        #expect(NaiveKernels.deviation(y, expected) < 1e-3)
    }

    @Test func bitsDoNotDependOnThreads() {
        #expect(
            isIndependentOfThreads { context in
                let x = context.normal(300, 33, seed: 1), gain = context.normal(1, 33, seed: 2),
                    bias = context.normal(1, 33, seed: 3)
                let y = context.uninitialized(300, 33), statistics = context.uninitialized(300, 2)
                LayerNormKernel.forward(context, x: x, gain: gain, bias: bias, into: y, statistics: statistics)
                let dx = context.zeros(300, 33), dgain = context.zeros(1, 33), dbias = context.zeros(1, 33)
                LayerNormKernel.backward(
                    context, dy: context.normal(300, 33, seed: 4), x: x, statistics: statistics, gain: gain, into: dx,
                    accumulate: false, dgain: dgain, dbias: dbias)
                return [y, statistics, dx, dgain, dbias]
            })
    }
}
