import Foundation
import Testing
import _TestSupport

@testable import TensorCore

/// Products with packed weights, against a chain of fused multiplications and additions: equal to the bit.
@Suite struct PackedWeightsTests {
    private static func naive(_ x: Tensor, _ w: Tensor, bias: [Float]?, rectified: Bool) -> [Float] {
        (0..<x.rows).flatMap { row in
            (0..<w.rows).map { column in
                var sum: Float = 0
                for k in 0..<x.columns { sum = sum.addingProduct(x[row, k], w[column, k]) }
                if let bias { sum += bias[column] }
                return rectified && !(sum > 0) ? 0 : sum
            }
        }
    }

    @Test(arguments: [1, 5, 6, 7, 13, 100], [1, 15, 16, 40, 257]) func products(rows: Int, outputs: Int) {
        for (inputs, threads) in [(1, 1), (7, 1), (64, 2), (1500, 3)] {
            let context = ComputeContext(threads: threads)
            let x = context.tensor(normalValues(rows * inputs, seed: 1), rows: rows, columns: inputs)
            let w = context.tensor(normalValues(outputs * inputs, seed: 2), rows: outputs, columns: inputs)
            let bias = normalValues(outputs, seed: 3), packed = PackedWeights(context, w)
            bias.withUnsafeBufferPointer { pointer in
                let epilogues: [(GEMM.Epilogue, [Float]?, Bool)] = [
                    (.none, nil, false), (.bias(pointer.baseAddress!), bias, false),
                    (.rectifiedBias(pointer.baseAddress!), bias, true),
                ]
                for (epilogue, bias, isRectified) in epilogues {
                    let out = context.uninitialized(rows, outputs)
                    out.fill(.nan)
                    packed.multiply(context, x: x, epilogue: epilogue, into: out)
                    #expect(
                        out.elements == Self.naive(x, w, bias: bias, rectified: isRectified),
                        "\(inputs) inputs, \(threads) threads")
                }
            }
        }
    }

    /// Inputs that are zero in some rows, in all rows of a tile and in all: what a rectifier leaves.
    @Test(arguments: [1, 6, 7, 13, 1100], [64, 71, 1024]) func inputsOfZeros(rows: Int, inputs: Int) {
        let context = ComputeContext(threads: 2), outputs = 40
        let values = normalValues(rows * inputs, seed: 1), w = normalValues(outputs * inputs, seed: 2)
        for period in [1, 2, 5] {
            let x = values.enumerated().map { index, value -> Float in
                let (row, input) = (index / inputs, index % inputs)
                if row % 11 == 3 || input % period == 0 { return input % 4 == 0 ? -0.0 : 0 }
                return value < 0.5 ? 0 : value
            }
            let left = context.tensor(x, rows: rows, columns: inputs)
            let right = context.tensor(w, rows: outputs, columns: inputs), out = context.uninitialized(rows, outputs)
            out.fill(.nan)
            PackedWeights(context, right).multiply(context, x: left, into: out)
            let checked = min(rows, 30), first = context.copy(left.rows(rows - checked..<rows))
            #expect(
                out.rows(rows - checked..<rows).elements == Self.naive(first, right, bias: nil, rectified: false),
                "every \(period)th input")
        }
    }

    /// Packed where the weights were: the same products, and no further memory.
    @Test(arguments: [32, 40]) func overwritingWeights(outputs: Int) {
        let context = ComputeContext(), x = context.tensor(normalValues(3 * 20, seed: 1), rows: 3, columns: 20)
        let w = context.tensor(normalValues(outputs * 20, seed: 2), rows: outputs, columns: 20)
        let expected = Self.naive(x, w, bias: nil, rectified: false), out = context.uninitialized(3, outputs)
        let original = w.elements, packed = PackedWeights(context, w, overwriting: true)
        #expect((w.elements == original) == (outputs % 16 != 0))
        packed.multiply(context, x: x, into: out)
        #expect(out.elements == expected)
    }

    /// Integers of x to 127, of weights to 63, and their exact sum.
    @Test(arguments: [1, 4, 5, 6, 23, 100], [1, 16, 40, 257]) func productsOfIntegers(rows: Int, outputs: Int) {
        for (inputs, threads) in [(1, 1), (7, 1), (64, 2), (1500, 3)] {
            let context = ComputeContext(threads: threads)
            let x = context.tensor(normalValues(rows * inputs, seed: 1), rows: rows, columns: inputs)
            let w = context.tensor(normalValues(outputs * inputs, seed: 2), rows: outputs, columns: inputs)
            let out = context.uninitialized(rows, outputs)
            out.fill(.nan)
            PackedWeights(context, w, precision: .int8).multiply(context, x: x, into: out)
            func quantized(_ row: UnsafePointer<Float>, _ bound: Float) -> (integers: [Int], scale: Float) {
                let largest = (0..<inputs).reduce(Float(0)) { max($0, abs(row[$1])) }
                return ((0..<inputs).map { Int((row[$0] * (bound / largest)).rounded(.toNearestOrEven)) }, largest / bound)
            }
            let (left, right) = ((0..<rows).map { quantized(x.row($0), 127) }, (0..<outputs).map { quantized(w.row($0), 63) })
            for row in 0..<rows {
                for column in 0..<outputs {
                    let sum = zip(left[row].integers, right[column].integers).reduce(0) { $0 + $1.0 * $1.1 }
                    let expected = Float(sum) * (left[row].scale * right[column].scale)
                    #expect(out[row, column] == expected, "\(inputs) inputs, \(threads) threads")
                }
            }
        }
    }

    /// Rows of zeros and of what is no number.
    @Test func integersOfOddRows() {
        let context = ComputeContext(),
            x = context.tensor([0, 0, .nan, 1, .infinity, 2, 700 * .leastNonzeroMagnitude, 0], rows: 4, columns: 2)
        let out = context.uninitialized(4, 1)
        PackedWeights(context, context.tensor([1, 1], rows: 1, columns: 2), precision: .int8).multiply(context, x: x, into: out)
        #expect(out[0, 0] == 0 && out[1, 0].isNaN && out[2, 0].isNaN && abs(out[3, 0]) < .leastNormalMagnitude)
    }

    @Test func noRows() {
        let context = ComputeContext(threads: 2), w = context.zeros(20, 8)
        PackedWeights(context, w).multiply(context, x: context.zeros(0, 8), into: context.zeros(0, 20))
    }

    /// A rectifier makes 0 of what is no number, as `GEMM` does.
    @Test func notANumber() {
        let context = ComputeContext(), x = context.tensor([.nan, 1], rows: 1, columns: 2), w = context.zeros(3, 2)
        let out = context.uninitialized(1, 3), bias = [Float](repeating: 1, count: 3)
        let packed = PackedWeights(context, w)
        packed.multiply(context, x: x, into: out)
        #expect(out.elements.allSatisfy { $0.isNaN })
        bias.withUnsafeBufferPointer { packed.multiply(context, x: x, epilogue: .rectifiedBias($0.baseAddress!), into: out) }
        #expect(out.elements == [0, 0, 0])
    }
}
