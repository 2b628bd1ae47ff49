import Foundation
@testable import TensorCore
import Testing
import _TestSupport

@Suite struct SoftmaxKernelTests {
    @Test func exponentialIsAccurateOverItsRange() {
        var worst = 0.0, x: Float = -87.25
        while x < 88 {
            let lanes = Vector((0..<16).map { x + Float($0) * 0.00071 })
            let e = Vector.exp(lanes)
            for lane in 0..<16 where lanes[lane] <= 88 {
                let exact = Foundation.exp(Double(lanes[lane]))
                worst = max(worst, abs(Double(e[lane]) / exact - 1))
            }
            x += 0.0113
        }
        #expect(worst < 2e-7)
    }

    @Test func exponentialAtTheEnds() {
        func exponential(_ x: Float) -> Float { Vector.exp(Vector(repeating: x))[3] }
        #expect(exponential(0) == 1)
        #expect(exponential(-88) == 0 && exponential(-.infinity) == 0 && exponential(-.greatestFiniteMagnitude) == 0)
        #expect(exponential(1000) == exponential(88) && exponential(.infinity).isFinite)
        #expect(exponential(.nan).isNaN)
    }

    @Test(arguments: [0, 1, 2, 15, 16, 17, 31, 32, 33, 64, 250, 8001])
    func agreesWithTheDefinition(count: Int) {
        let context = ComputeContext()
        for scale in [Float(1), 0.125] {
            let x = context.normal(1, count, seed: count, deviation: 4)
            let expected = NaiveKernels.softmax(x.elements.map { Double($0) * Double(scale) })
            SoftmaxKernel.normalize(x.pointer, count: count, scale: scale)
            #expect(NaiveKernels.deviation(x.elements, expected) < 2e-6)
            if count > 0 { #expect(abs(x.elements.reduce(0.0) { $0 + Double($1) } - 1) < 1e-5) }
        }
    }

    @Test(arguments: [1, 5, 16, 37]) func extremeValuesGiveSoundProbabilities(count: Int) {
        let context = ComputeContext()
        for (large, small) in [(Float(1e38), Float(-1e38)), (3e4, -3e4), (-1e30, -2e30), (0, -.infinity)] {
            let x = context.uninitialized(1, count)
            x.fill(small)
            x.pointer[count / 2] = large
            SoftmaxKernel.normalize(x.pointer, count: count)
            #expect(x.elements == (0..<count).map { $0 == count / 2 ? 1 : 0 })
            x.fill(large)
            SoftmaxKernel.normalize(x.pointer, count: count)
            for value in x.elements { #expect(abs(value - 1 / Float(count)) < 1e-6) }
        }
    }

    @Test(arguments: [0, 1, 2, 15, 16, 17, 31, 32, 33, 64], [0, 16, 32])
    func paddedRowsAgreeAndEndInZeros(count: Int, more: Int) {
        let context = ComputeContext(), padded = (count + 15) / 16 * 16 + more
        let x = context.normal(1, padded, seed: count, deviation: 4)
        // What lies beyond must not matter.
        for i in count..<padded { x.pointer[i] = i % 2 == 0 ? 1e30 : .nan }
        let expected = NaiveKernels.softmax(x.elements.prefix(count).map { Double($0) * 0.25 })
        SoftmaxKernel.normalizePadded(x.pointer, count: count, padded: padded, scale: 0.25)
        #expect(NaiveKernels.deviation(x.elements, expected + Array(repeating: 0, count: padded - count)) < 1e-6)
        #expect(x.elements.dropFirst(count).allSatisfy { $0 == 0 })
    }

    @Test func maximumOfAnyPosition() {
        for count in [1, 15, 16, 17, 40] {
            for place in 0..<count {
                var x = [Float](repeating: -7, count: count)
                x[place] = -3
                #expect(SoftmaxKernel.maximum(x, count: count) == -3)
            }
        }
    }

    /// A row's exponentials go through the same code wherever the row ends.
    @Test func tailsAreTheVectorsValues() {
        let context = ComputeContext(), long = context.normal(1, 64, seed: 3)
        for count in 1..<64 {
            let short = context.tensor(Array(long.elements.prefix(count)), rows: 1, columns: count), whole = context.copy(long)
            _ = SoftmaxKernel.exponentiate(short.pointer, count: count, scale: 0.5, maximum: 2)
            _ = SoftmaxKernel.exponentiate(whole.pointer, count: 64, scale: 0.5, maximum: 2)
            #expect(short.bits == Array(whole.bits.prefix(count)))
        }
    }
}
