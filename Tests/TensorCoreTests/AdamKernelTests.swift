import Foundation
import TensorCore
import Testing
import _TestSupport

@Suite struct AdamKernelTests {
    @Test(arguments: [0, 1, 15, 16, 17, 250, 70_001])
    func agreesWithTheDefinition(count: Int) {
        let context = ComputeContext(threads: 2)
        let values = context.normal(1, count, seed: 1), gradients = context.zeros(1, count)
        let first = context.zeros(1, count), second = context.zeros(1, count)
        var w = values.elements.map(Double.init), m = w.map { _ in 0.0 }, v = m
        let (rate, beta1, beta2, epsilon) = (1e-2, Double(Float(0.9)), Double(Float(0.98)), 1e-8)
        for update in 1...4 {
            let fresh = context.normal(1, count, seed: 10 + update)
            gradients.copy(from: fresh)
            AdamKernel.update(
                context,
                .init(update: update, learningRate: 1e-2, beta1: 0.9, beta2: 0.98, epsilon: 1e-8, gradientScale: 0.5),
                values: values.buffer, gradients: gradients.buffer, firstMoments: first.buffer, secondMoments: second.buffer)
            for i in 0..<count {
                let g = Double(fresh.pointer[i]) * 0.5
                m[i] = beta1 * m[i] + (1 - beta1) * g
                v[i] = beta2 * v[i] + (1 - beta2) * g * g
                let (mHat, vHat) = (m[i] / (1 - pow(beta1, Double(update))), v[i] / (1 - pow(beta2, Double(update))))
                w[i] -= rate * mHat / (vHat.squareRoot() + epsilon)
            }
            #expect(gradients.elements.allSatisfy { $0 == 0 })
        }
        #expect(NaiveKernels.deviation(first.elements, m) < 1e-5)
        #expect(NaiveKernels.deviation(second.elements, v) < 1e-5)
        #expect(NaiveKernels.deviation(values.elements, w) < 1e-6)
    }

    @Test func aZeroGradientFromTheStartMovesNothing() {
        let context = ComputeContext(), values = context.normal(1, 33, seed: 1), before = values.bits
        let zeros = (context.zeros(1, 33), context.zeros(1, 33), context.zeros(1, 33))
        AdamKernel.update(
            context, .init(update: 1, learningRate: 1, beta1: 0.9, beta2: 0.98, epsilon: 1e-8), values: values.buffer,
            gradients: zeros.0.buffer, firstMoments: zeros.1.buffer, secondMoments: zeros.2.buffer)
        #expect(values.bits == before)
    }

    /// A rank updates only its share of a buffer: where a share begins must not change the result.
    @Test func aRangeByItselfGivesTheSameBits() {
        let context = ComputeContext()
        func run(_ cuts: [Int]) -> [UInt32] {
            let t = (1...4).map { context.normal(1, 100, seed: $0) }
            for i in 0..<100 { t[3].pointer[i] = abs(t[3].pointer[i]) }
            for (start, end) in zip(cuts, cuts.dropFirst()) {
                func part(_ tensor: Tensor) -> UnsafeMutableBufferPointer<Float> { .init(rebasing: tensor.buffer[start..<end]) }
                AdamKernel.update(
                    context, .init(update: 3, learningRate: 0.1, beta1: 0.9, beta2: 0.98, epsilon: 1e-8),
                    values: part(t[0]), gradients: part(t[1]), firstMoments: part(t[2]), secondMoments: part(t[3]))
            }
            return t.flatMap(\.bits)
        }
        #expect(run([0, 100]) == run([0, 3, 50, 51, 100]))
    }

    @Test func bitsDoNotDependOnThreads() {
        #expect(
            isIndependentOfThreads { context in
                let t = (1...4).map { context.normal(1, 100_003, seed: $0) }
                for i in 0..<t[3].count { t[3].pointer[i] = abs(t[3].pointer[i]) }
                AdamKernel.update(
                    context, .init(update: 3, learningRate: 0.1, beta1: 0.9, beta2: 0.98, epsilon: 1e-8), values: t[0].buffer,
                    gradients: t[1].buffer, firstMoments: t[2].buffer, secondMoments: t[3].buffer)
                return t
            })
    }
}
