import Testing
import _TestSupport

@testable import TensorCore

@Suite struct BFloat16RowsTests {
    /// Element by element: the lower half of its bits goes, up or down to the nearest, to an even number from half-way.
    private func nearest(_ x: Float) -> Float {
        guard !x.isNaN else { return x }
        let below = Float(bitPattern: x.bitPattern & 0xFFFF_0000), above = Float(bitPattern: below.bitPattern + 0x1_0000)
        let rest = x.bitPattern & 0xFFFF
        if rest != 0x8000 { return rest < 0x8000 ? below : above }
        return below.bitPattern & 0x1_0000 == 0 ? below : above
    }

    @Test(arguments: [1, 2, 7, 15, 16, 31, 32, 33, 64, 96, 101], [1, 2]) func rowsAreRounded(columns: Int, threads: Int) {
        let context = ComputeContext(threads: threads), x = context.normal(130, columns, seed: 3)
        let odd: [Float] = [
            .infinity, -.infinity, 0, -0.0, Float(bitPattern: 0x0001_1111), -3e38,
            .greatestFiniteMagnitude, Float(bitPattern: 0x3F80_8000),
            Float(bitPattern: 0x3F81_8000), Float(bitPattern: 0xBF80_8001),
        ]
        for (index, value) in odd.enumerated() where index < x.count { x.pointer[index * 3 % x.count] = value }
        let expected = x.elements.map { nearest($0).bitPattern }
        #expect(BFloat16Rows.width(columns) == (columns + 1) / 2)
        #expect(thereAndBack(context, x).bits == expected)
        let rounded = context.zeros(x.rows, x.columns)
        BFloat16Rows.round(context, x, into: rounded)
        #expect(rounded.bits == expected)
    }

    private func thereAndBack(_ context: ComputeContext, _ x: Tensor) -> Tensor {
        let packed = context.zeros(x.rows, BFloat16Rows.width(x.columns)), back = context.zeros(x.rows, x.columns)
        BFloat16Rows.pack(context, x, into: packed)
        BFloat16Rows.unpack(context, packed, into: back)
        return back
    }

    @Test func whatIsNotANumberStaysSo() {
        let context = ComputeContext(threads: 1)
        let x = context.tensor(
            [.nan, -.nan, Float(bitPattern: 0x7F80_0001), Float(bitPattern: 0xFFFF_FFFF)] + [Float](repeating: 1, count: 60),
            rows: 1,
            columns: 64)
        let back = thereAndBack(context, x)
        #expect(back.elements[..<4].allSatisfy(\.isNaN) && back.elements[4...].allSatisfy { $0 == 1 })
    }
}
