/// Products of matrices of some ten rows, for which `GEMM` spends more on its own arrangements than on arithmetic:
/// tiles of six or four rows by one vector of columns, held in registers while k runs.
///
/// Every element is one chain of fused multiplications and additions over ascending k, whichever tile computes it.
enum SmallProduct {
    /// C [rows, columns] ← A · B. A's element (r, k) is `a[r · aRow + k · aStep]`, so that A may be transposed; B's element
    /// (k, c) is `b[k · bStep + c]`; C's rows are `cRow` apart. C must not overlap A or B.
    static func multiply(
        rows: Int, columns: Int, k: Int, _ a: UnsafePointer<Float>, aRow: Int, aStep: Int, _ b: UnsafePointer<Float>,
        bStep: Int, into c: UnsafeMutablePointer<Float>, cRow: Int
    ) {
        if rows < 4 {
            for row in 0..<rows { multiplyRow(columns, k, a + row * aRow, aStep, b, bStep, into: c + row * cRow) }
            return
        }
        var column = 0
        while column + 16 <= columns {
            multiplyPanel(rows, k, a, aRow, aStep, b + column, bStep, into: c + column, cRow)
            column += 16
        }
        while column < columns {
            for row in 0..<rows { c[row * cRow + column] = element(k, a + row * aRow, aStep, b + column, bStep) }
            column += 1
        }
    }

    /// One vector of columns. The last tile may cover rows of the one before it again, with the same result.
    private static func multiplyPanel(
        _ rows: Int, _ k: Int, _ a: UnsafePointer<Float>, _ aRow: Int, _ aStep: Int, _ b: UnsafePointer<Float>, _ bStep: Int,
        into c: UnsafeMutablePointer<Float>, _ cRow: Int
    ) {
        var row = 0
        while row < rows {
            let rest = rows - row
            if rest >= 9 || rest == 6 || (rest == 5 && row > 0) {
                let start = min(row, rows - 6)
                sixRows(k, a + start * aRow, aRow, aStep, b, bStep, into: c + start * cRow, cRow)
                row = start + 6
            } else {
                let start = min(row, rows - 4)
                fourRows(k, a + start * aRow, aRow, aStep, b, bStep, into: c + start * cRow, cRow)
                row = start + 4
            }
        }
    }

    @inline(__always)
    private static func sixRows(
        _ k: Int, _ a: UnsafePointer<Float>, _ aRow: Int, _ aStep: Int, _ b: UnsafePointer<Float>, _ bStep: Int,
        into c: UnsafeMutablePointer<Float>, _ cRow: Int
    ) {
        var (c0, c1, c2) = (Vector.zero, Vector.zero, Vector.zero), (c3, c4, c5) = (Vector.zero, Vector.zero, Vector.zero)
        var (a, b) = (a, b)
        for _ in 0..<k {
            let v = b.vector(at: 0)
            c0 = c0.addingProduct(Vector(repeating: a[0]), v)
            c1 = c1.addingProduct(Vector(repeating: a[aRow]), v)
            c2 = c2.addingProduct(Vector(repeating: a[2 * aRow]), v)
            c3 = c3.addingProduct(Vector(repeating: a[3 * aRow]), v)
            c4 = c4.addingProduct(Vector(repeating: a[4 * aRow]), v)
            c5 = c5.addingProduct(Vector(repeating: a[5 * aRow]), v)
            a += aStep
            b += bStep
        }
        c.store(c0, at: 0)
        c.store(c1, at: cRow)
        c.store(c2, at: 2 * cRow)
        c.store(c3, at: 3 * cRow)
        c.store(c4, at: 4 * cRow)
        c.store(c5, at: 5 * cRow)
    }

    @inline(__always)
    private static func fourRows(
        _ k: Int, _ a: UnsafePointer<Float>, _ aRow: Int, _ aStep: Int, _ b: UnsafePointer<Float>, _ bStep: Int,
        into c: UnsafeMutablePointer<Float>, _ cRow: Int
    ) {
        var (c0, c1, c2, c3) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
        var (a, b) = (a, b)
        for _ in 0..<k {
            let v = b.vector(at: 0)
            c0 = c0.addingProduct(Vector(repeating: a[0]), v)
            c1 = c1.addingProduct(Vector(repeating: a[aRow]), v)
            c2 = c2.addingProduct(Vector(repeating: a[2 * aRow]), v)
            c3 = c3.addingProduct(Vector(repeating: a[3 * aRow]), v)
            a += aStep
            b += bStep
        }
        c.store(c0, at: 0)
        c.store(c1, at: cRow)
        c.store(c2, at: 2 * cRow)
        c.store(c3, at: 3 * cRow)
    }

    /// A single row: up to four vectors of columns at a time, so that additions need not wait for each other.
    private static func multiplyRow(
        _ columns: Int, _ k: Int, _ a: UnsafePointer<Float>, _ aStep: Int, _ b: UnsafePointer<Float>, _ bStep: Int,
        into c: UnsafeMutablePointer<Float>
    ) {
        var column = 0
        while column + 64 <= columns {
            var (c0, c1, c2, c3) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
            var (a, b) = (a, b + column)
            for _ in 0..<k {
                let factor = Vector(repeating: a[0])
                c0 = c0.addingProduct(factor, b.vector(at: 0))
                c1 = c1.addingProduct(factor, b.vector(at: 16))
                c2 = c2.addingProduct(factor, b.vector(at: 32))
                c3 = c3.addingProduct(factor, b.vector(at: 48))
                a += aStep
                b += bStep
            }
            c.store(c0, at: column)
            c.store(c1, at: column + 16)
            c.store(c2, at: column + 32)
            c.store(c3, at: column + 48)
            column += 64
        }
        while column + 16 <= columns {
            var sum = Vector.zero
            for i in 0..<k { sum = sum.addingProduct(Vector(repeating: a[i * aStep]), b.vector(at: column + i * bStep)) }
            c.store(sum, at: column)
            column += 16
        }
        while column < columns {
            c[column] = element(k, a, aStep, b + column, bStep)
            column += 1
        }
    }

    @inline(__always)
    private static func element(
        _ k: Int, _ a: UnsafePointer<Float>, _ aStep: Int, _ b: UnsafePointer<Float>, _ bStep: Int
    ) -> Float {
        var sum: Float = 0
        for i in 0..<k { sum = sum.addingProduct(a[i * aStep], b[i * bStep]) }
        return sum
    }

    /// C [rows, columns] ← A · Bᵀ by dot products, for so few rows that transposing B would cost more: A's rows of k elements
    /// are `aRow` apart, B's `bRow`.
    static func multiplyTransposed(
        rows: Int, columns: Int, k: Int, _ a: UnsafePointer<Float>, aRow: Int, _ b: UnsafePointer<Float>, bRow: Int,
        into c: UnsafeMutablePointer<Float>, cRow: Int
    ) {
        for row in 0..<rows {
            let x = a + row * aRow
            for column in 0..<columns { c[row * cRow + column] = dot(x, b + column * bRow, k) }
        }
    }

    @inline(__always)
    private static func dot(_ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, _ count: Int) -> Float {
        var sums = Vector.zero, i = 0
        while i + 16 <= count { sums = sums.addingProduct(x.vector(at: i), y.vector(at: i)); i += 16 }
        var sum = sums.total
        while i < count { sum = sum.addingProduct(x[i], y[i]); i += 1 }
        return sum
    }
}
