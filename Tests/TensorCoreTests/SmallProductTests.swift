@testable import TensorCore
import Testing
import _TestSupport

private typealias Matrix = NaiveKernels.Matrix

@Suite struct SmallProductTests {
    /// Every combination of tiles of six and four rows, and fewer rows than a tile has.
    @Test(arguments: 0...27, [1, 16, 24, 64, 83])
    func agreesWithTheDefinition(rows: Int, columns: Int) {
        let context = ComputeContext()
        for k in [0, 1, 7, 32] {
            let a = context.normal(rows, k + 3, seed: 1), b = context.normal(k, columns + 5, seed: 2)
            let at = context.normal(k, rows + 2, seed: 3)
            let c = context.uninitialized(rows, columns + 1)
            let product = Matrix(a).part(0..<rows, 0..<k) * Matrix(b).part(0..<k, 0..<columns)
            let transposedProduct = Matrix(at).part(0..<k, 0..<rows).transposed * Matrix(b).part(0..<k, 0..<columns)
            for (factor, aRow, aStep, expected) in [(a, k + 3, 1, product), (at, 1, rows + 2, transposedProduct)] {
                c.fill(42)
                SmallProduct.multiply(
                    rows: rows, columns: columns, k: k, factor.pointer, aRow: aRow, aStep: aStep, b.pointer, bStep: columns + 5,
                    into: c.pointer, cRow: columns + 1)
                let result = Matrix(c).part(0..<rows, 0..<columns)
                #expect(NaiveKernels.deviation(result.elements.map(Float.init), expected.elements) < 1e-6)
                #expect((0..<rows).allSatisfy { c[$0, columns] == 42 }, "the column beyond is left alone")
            }
        }
    }

    @Test(arguments: 0...3, [0, 1, 16, 33])
    func dotProductsAgreeWithTheDefinition(rows: Int, columns: Int) {
        let context = ComputeContext()
        for k in [0, 1, 16, 31, 64] {
            let a = context.normal(rows, k + 3, seed: 1), b = context.normal(columns, k + 5, seed: 2)
            let c = context.uninitialized(rows, columns)
            SmallProduct.multiplyTransposed(
                rows: rows, columns: columns, k: k, a.pointer, aRow: k + 3, b.pointer, bRow: k + 5, into: c.pointer,
                cRow: columns)
            let expected = Matrix(a).part(0..<rows, 0..<k) * Matrix(b).part(0..<columns, 0..<k).transposed
            #expect(NaiveKernels.deviation(c, expected) < 1e-6)
        }
    }

    @Test(arguments: [0, 1, 7, 8, 9, 15, 16, 17, 26, 40], [1, 7, 8, 24, 33])
    func transposesIntoPanels(rows: Int, columns: Int) {
        let context = ComputeContext(), x = context.normal(rows, columns + 2, seed: 1)
        let panels = context.uninitialized((rows + 15) / 16, columns * 16)
        panels.fill(.nan)
        SmallProduct.packTransposed(x.pointer, rows: rows, columns: columns, stride: columns + 2, into: panels.pointer)
        for row in 0..<panels.rows * 16 {
            for column in 0..<columns {
                #expect(panels[row / 16, column * 16 + row % 16] == (row < rows ? x[row, column] : 0))
            }
        }
    }
}
