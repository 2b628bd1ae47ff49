import TensorCore
import Testing
import _TestSupport

private typealias Matrix = NaiveKernels.Matrix

@Suite struct OutputLossKernelTests {
    @Test(arguments: [1, 7, 16, 33, 250], [0, 1, 70])
    func agreesWithTheDefinition(vocabulary: Int, rows: Int) {
        for threads in 1...2 {
            let context = ComputeContext(threads: threads)
            let x = context.normal(rows, 24, seed: 1), weight = context.normal(vocabulary, 24, seed: 2)
            let targets = (0..<rows).map { Int32(($0 * 7 + 3) % vocabulary) }
            let logits = Matrix(x) * Matrix(weight).transposed
            for smoothing: Float in [0, 0.1] {
                let expected = NaiveKernels.crossEntropy(logits: logits, targets: targets, smoothing: Double(smoothing))
                let plain = OutputLossKernel.run(
                    context, x: x, weight: weight, targets: targets, smoothing: smoothing, gradient: nil)
                let dx = context.uninitialized(rows, 24), dweight = context.normal(vocabulary, 24, seed: 3),
                    before = Matrix(dweight)
                let loss = OutputLossKernel.run(
                    context, x: x, weight: weight, targets: targets, smoothing: smoothing,
                    gradient: .init(scale: 0.5, dx: dx, dweight: dweight))
                #expect(loss == plain)
                #expect(loss.tokens == rows)
                #expect(abs(loss.smoothed - expected.smoothed) <= 1e-5 * (1 + expected.smoothed))
                #expect(abs(loss.negativeLogLikelihood - expected.likelihood) <= 1e-5 * (1 + expected.likelihood))
                var gradient = expected.gradient
                gradient.elements = gradient.elements.map { $0 / 2 }
                #expect(NaiveKernels.deviation(dx, gradient * Matrix(weight), floor: 0.1) < 1e-5)
                #expect(NaiveKernels.deviation(dweight, before + gradient.transposed * Matrix(x), floor: 0.1) < 1e-5)
            }
        }
    }

    /// Of so many words that the rows make several chunks.
    @Test func chunksAddUp() {
        let context = ComputeContext(threads: 2), vocabulary = 40_000, rows = 600
        let x = context.normal(rows, 4, seed: 1), weight = context.normal(vocabulary, 4, seed: 2)
        let targets = (0..<rows).map { Int32($0 * 61) }
        func run(_ rows: Range<Int>) -> (OutputLoss, Tensor, Tensor) {
            let dx = context.zeros(rows.count, 4), dweight = context.zeros(vocabulary, 4)
            let loss = OutputLossKernel.run(
                context, x: x.rows(rows), weight: weight, targets: Array(targets[rows]), smoothing: 0.1,
                gradient: .init(scale: 1, dx: dx, dweight: dweight))
            return (loss, dx, dweight)
        }
        let whole = run(0..<rows), first = run(0..<250), second = run(250..<600)
        var sum = first.0
        sum += second.0
        #expect(sum.tokens == whole.0.tokens)
        #expect(abs(sum.smoothed / whole.0.smoothed - 1) < 1e-6)
        #expect(abs(sum.negativeLogLikelihood / whole.0.negativeLogLikelihood - 1) < 1e-6)
        #expect(
            NaiveKernels.deviation(
                whole.1, Matrix(rows: rows, columns: 4, elements: (first.1.elements + second.1.elements).map(Double.init)))
                < 1e-5)
        #expect(NaiveKernels.deviation(whole.2, Matrix(first.2) + Matrix(second.2)) < 1e-5)
    }

    @Test func extremeLogitsStaySound() {
        let context = ComputeContext()
        let x = context.tensor([1e4, -1e4], rows: 2, columns: 1), weight = context.normal(40, 1, seed: 1)
        let dx = context.zeros(2, 1), dweight = context.zeros(40, 1)
        let loss = OutputLossKernel.run(
            context, x: x, weight: weight, targets: [3, 4], smoothing: 0.1,
            gradient: .init(scale: 1, dx: dx, dweight: dweight))
        #expect(loss.smoothed.isFinite && loss.smoothed > 0 && loss.negativeLogLikelihood >= 0)
        #expect((dx.elements + dweight.elements).allSatisfy { $0.isFinite })
    }

    @Test(arguments: 1...4) func theSameThreadsGiveTheSameBits(threads: Int) {
        func run() -> ([UInt32], UInt64) {
            let context = ComputeContext(threads: threads)
            let dx = context.zeros(300, 16), dweight = context.zeros(500, 16)
            let loss = OutputLossKernel.run(
                context, x: context.normal(300, 16, seed: 1), weight: context.normal(500, 16, seed: 2),
                targets: (0..<300).map(Int32.init), smoothing: 0.1, gradient: .init(scale: 1, dx: dx, dweight: dweight))
            return (dx.bits + dweight.bits, loss.smoothed.bitPattern)
        }
        #expect(run() == run())
    }
}
