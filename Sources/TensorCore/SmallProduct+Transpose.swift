extension SmallProduct {
    /// Copies the transpose of x [rows, columns], whose rows are `stride` apart, into `panels`: [panel][column][16], where a
    /// panel is 16 rows of x, and those beyond the last are zero. A panel is a B of step 16 to `multiply`.
    static func packTransposed(
        _ x: UnsafePointer<Float>, rows: Int, columns: Int, stride: Int, into panels: UnsafeMutablePointer<Float>
    ) {
        var row = 0
        while row < rows {
            let panel = panels + row / 16 * 16 * columns + row % 16
            if row + 8 <= rows {
                transposeEightRows(x + row * stride, columns, stride, into: panel)
            } else {
                for column in 0..<columns {
                    for lane in 0..<8 {
                        panel[column * 16 + lane] = row + lane < rows ? x[(row + lane) * stride + column] : 0
                    }
                }
            }
            row += 8
        }
        if row % 16 == 8 {
            let panel = panels + row / 16 * 16 * columns + 8
            for column in 0..<columns { (panel + column * 16).update(repeating: 0, count: 8) }
        }
    }

    private static func transposeEightRows(
        _ x: UnsafePointer<Float>, _ columns: Int, _ stride: Int, into panel: UnsafeMutablePointer<Float>
    ) {
        var column = 0
        while column + 8 <= columns {
            let source = x + column, target = panel + column * 16
            let (r0, r1) = (source.eight(at: 0), source.eight(at: stride))
            let (r2, r3) = (source.eight(at: 2 * stride), source.eight(at: 3 * stride))
            let (r4, r5) = (source.eight(at: 4 * stride), source.eight(at: 5 * stride))
            let (r6, r7) = (source.eight(at: 6 * stride), source.eight(at: 7 * stride))
            let (a0, a1, a2, a3) = (r0.pairs(r1), r0.upperPairs(r1), r2.pairs(r3), r2.upperPairs(r3))
            let (a4, a5, a6, a7) = (r4.pairs(r5), r4.upperPairs(r5), r6.pairs(r7), r6.upperPairs(r7))
            let (b0, b1, b2, b3) = (a0.quads(a2), a0.upperQuads(a2), a1.quads(a3), a1.upperQuads(a3))
            let (b4, b5, b6, b7) = (a4.quads(a6), a4.upperQuads(a6), a5.quads(a7), a5.upperQuads(a7))
            target.store(SIMD8(lowHalf: b0.lowHalf, highHalf: b4.lowHalf), at: 0)
            target.store(SIMD8(lowHalf: b1.lowHalf, highHalf: b5.lowHalf), at: 16)
            target.store(SIMD8(lowHalf: b2.lowHalf, highHalf: b6.lowHalf), at: 32)
            target.store(SIMD8(lowHalf: b3.lowHalf, highHalf: b7.lowHalf), at: 48)
            target.store(SIMD8(lowHalf: b0.highHalf, highHalf: b4.highHalf), at: 64)
            target.store(SIMD8(lowHalf: b1.highHalf, highHalf: b5.highHalf), at: 80)
            target.store(SIMD8(lowHalf: b2.highHalf, highHalf: b6.highHalf), at: 96)
            target.store(SIMD8(lowHalf: b3.highHalf, highHalf: b7.highHalf), at: 112)
            column += 8
        }
        while column < columns {
            for lane in 0..<8 { panel[column * 16 + lane] = x[lane * stride + column] }
            column += 1
        }
    }
}

extension UnsafePointer<Float> {
    @inline(__always)
    fileprivate func eight(at index: Int) -> SIMD8<Float> {
        UnsafeRawPointer(self + index).loadUnaligned(as: SIMD8<Float>.self)
    }
}

extension UnsafeMutablePointer<Float> {
    @inline(__always)
    fileprivate func store(_ vector: SIMD8<Float>, at index: Int) {
        UnsafeMutableRawPointer(self + index).storeBytes(of: vector, as: SIMD8<Float>.self)
    }
}

/// The interleavings that a processor has an instruction for; three rounds of them transpose eight vectors.
extension SIMD8<Float> {
    @inline(__always)
    fileprivate func pairs(_ o: Self) -> Self { Self(self[0], o[0], self[1], o[1], self[4], o[4], self[5], o[5]) }
    @inline(__always)
    fileprivate func upperPairs(_ o: Self) -> Self { Self(self[2], o[2], self[3], o[3], self[6], o[6], self[7], o[7]) }
    @inline(__always)
    fileprivate func quads(_ o: Self) -> Self { Self(self[0], self[1], o[0], o[1], self[4], self[5], o[4], o[5]) }
    @inline(__always)
    fileprivate func upperQuads(_ o: Self) -> Self { Self(self[2], self[3], o[2], o[3], self[6], self[7], o[6], o[7]) }
}
