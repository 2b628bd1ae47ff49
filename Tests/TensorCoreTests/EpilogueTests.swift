import TensorCore
import Testing
import _TestSupport

private typealias Matrix = NaiveKernels.Matrix

/// Epilogues of products, with the kernels that the program uses and with those of other machines.
@Suite struct EpilogueTests {
    /// A product of n columns in rows that are `padding` longer, its factors, and what an epilogue takes.
    private struct Problem {
        let m: Int, n: Int, k: Int, padding = 3
        let context = ComputeContext()
        let x: Tensor, w: Tensor, bias: Tensor, activation: Tensor

        init(m: Int, n: Int, k: Int) {
            (self.m, self.n, self.k) = (m, n, k)
            x = context.normal(m, k, seed: 1)
            w = context.normal(n, k, seed: 2)
            bias = context.normal(1, n, seed: 3)
            activation = context.normal(m, n + 5, seed: 4)
            activation.pointer[0] = 0
        }

        var rectifierGradient: GEMM.Epilogue { .rectifierGradient(activation: activation.pointer, stride: n + 5) }

        func product(using kernels: GEMM.Kernels, accumulate: Bool, _ epilogue: GEMM.Epilogue) -> Tensor {
            let c = context.normal(m, n + padding, seed: 5)
            GEMM.multiply(
                using: kernels, m: m, n: n, k: k, GEMM.Factor(x.pointer, stride: k),
                GEMM.Factor(w.pointer, stride: k, transposed: true), accumulate: accumulate, epilogue: epilogue,
                into: c.pointer,
                stride: n + padding)
            return c
        }
    }

    @Test(
        arguments: GEMM.Kernels.supported,
        [
            (1, 1, 1), (5, 17, 0), (14, 32, 16), (29, 70, 40), (3, 48, 1100), (400, 33, 520), (680, 65, 3),
        ])
    func eachIsAppliedOnceToTheFinishedSums(kernels: GEMM.Kernels, shape: (Int, Int, Int)) {
        let problem = Problem(m: shape.0, n: shape.1, k: shape.2)
        for accumulate in [false, true] {
            let plain = problem.product(using: kernels, accumulate: accumulate, .none)
            func check(_ epilogue: GEMM.Epilogue, _ expected: (_ row: Int, _ column: Int, _ sum: Float) -> Float) {
                let c = problem.product(using: kernels, accumulate: accumulate, epilogue)
                for row in 0..<problem.m {
                    for column in 0..<problem.n + problem.padding {
                        let sum = plain[row, column]
                        let value = column < problem.n ? expected(row, column, sum) : sum
                        guard c[row, column] != value else { continue }
                        Issue.record("[\(row), \(column)] of \(shape) is \(c[row, column]), not \(value): \(epilogue)")
                        return
                    }
                }
            }
            check(.bias(problem.bias.pointer)) { _, column, sum in sum + problem.bias[0, column] }
            check(.rectifiedBias(problem.bias.pointer)) { _, column, sum in max(0, sum + problem.bias[0, column]) }
            check(problem.rectifierGradient) { row, column, sum in problem.activation[row, column] > 0 ? sum : 0 }
        }
    }

    /// Bands of rows and of columns, each of which sees its own part of bias and activation.
    @Test(arguments: 1...4, [(3, 300), (300, 40), (1500, 33)])
    func bandsTakeTheirPart(threads: Int, shape: (Int, Int)) {
        let problem = Problem(m: shape.0, n: shape.1, k: 20), context = ComputeContext(threads: threads)
        let sums = Matrix(problem.x) * Matrix(problem.w).transposed
        var rectified = sums
        for row in 0..<problem.m {
            for column in 0..<problem.n { rectified[row, column] = max(0, sums[row, column] + Double(problem.bias[0, column])) }
        }
        let y = context.uninitialized(problem.m, problem.n)
        MatrixProduct.forward(context, x: problem.x, w: problem.w, epilogue: .rectifiedBias(problem.bias.pointer), into: y)
        #expect(NaiveKernels.deviation(y, rectified) < 2e-6)

        var masked = Matrix(problem.x) * Matrix(problem.w).transposed
        for row in 0..<problem.m {
            for column in 0..<problem.n where y[row, column] == 0 { masked[row, column] = 0 }
        }
        let dx = context.uninitialized(problem.m, problem.n), transposed = context.uninitialized(problem.k, problem.n)
        for row in 0..<problem.k {
            for column in 0..<problem.n { transposed.pointer[row * problem.n + column] = problem.w[column, row] }
        }
        MatrixProduct.backwardInput(
            context, dy: problem.x, w: transposed, epilogue: .rectifierGradient(activation: y.pointer, stride: problem.n),
            into: dx)
        #expect(NaiveKernels.deviation(dx, masked) < 2e-6)
    }
}
