/// y = (x − mean) / sqrt(variance + ε) · γ + β over each row; variance is the biased one.
public enum LayerNormKernel {
    public static let epsilon: Float = 1e-5
    private static let band = 64

    /// Writes `y` [T, d] and, for backward, each row's mean and 1 / deviation into `statistics` [T, 2].
    public static func forward(
        _ context: ComputeContext, x: Tensor, gain: Tensor, bias: Tensor, into y: Tensor, statistics: Tensor
    ) {
        precondition(y.count == x.count && statistics.rows == x.rows && statistics.columns == 2)
        precondition(gain.count == x.columns && bias.count == x.columns)
        let (xp, yp, sp, d) = (x.pointer, y.pointer, statistics.pointer, x.columns)
        let (g, b) = (UnsafePointer(gain.pointer), UnsafePointer(bias.pointer))
        context.pool.parallelRanges(x.rows, grain: band) { rows in
            for row in rows {
                let (mean, inverse) = moments(xp + row * d, d)
                sp[2 * row] = mean
                sp[2 * row + 1] = inverse
                normalize(xp + row * d, d, mean, inverse, g, b, into: yp + row * d)
            }
        }
    }

    /// Writes `y` again from what forward left in `statistics`.
    public static func apply(
        _ context: ComputeContext, x: Tensor, gain: Tensor, bias: Tensor, statistics: Tensor, into y: Tensor
    ) {
        let (xp, yp, sp, d) = (x.pointer, y.pointer, statistics.pointer, x.columns)
        let (g, b) = (UnsafePointer(gain.pointer), UnsafePointer(bias.pointer))
        context.pool.parallelRanges(x.rows, grain: band) { rows in
            for row in rows { normalize(xp + row * d, d, sp[2 * row], sp[2 * row + 1], g, b, into: yp + row * d) }
        }
    }

    /// dx (added to if `accumulate`), dgain += and dbias += from dy and forward's `x` and `statistics`.
    public static func backward(
        _ context: ComputeContext, dy: Tensor, x: Tensor, statistics: Tensor, gain: Tensor,
        into dx: Tensor, accumulate: Bool, dgain: Tensor, dbias: Tensor
    ) {
        let d = x.columns, bands = (x.rows + band - 1) / band
        guard bands > 0 else { return }
        let partial = context.uninitialized(2 * bands, d)
        defer { withExtendedLifetime(partial) {} }
        let (dyp, xp, sp, dxp, pp) = (dy.pointer, x.pointer, statistics.pointer, dx.pointer, partial.pointer)
        let g = UnsafePointer(gain.pointer)
        context.pool.parallelFor(bands) { index in
            let (dg, db) = (pp + 2 * index * d, pp + (2 * index + 1) * d)
            dg.update(repeating: 0, count: 2 * d)
            for row in index * band..<min(x.rows, (index + 1) * band) {
                backwardRow(
                    dyp + row * d, xp + row * d, d, sp[2 * row], sp[2 * row + 1], g, into: dxp + row * d,
                    accumulate: accumulate, dg, db)
            }
        }
        // In band order, whichever thread made a band.
        let (dgp, dbp) = (dgain.pointer, dbias.pointer)
        for index in 0..<bands {
            add(pp + 2 * index * d, to: dgp, d)
            add(pp + (2 * index + 1) * d, to: dbp, d)
        }
    }

    /// Sums in four vectors: an addition need not wait for the one before it.
    private static func moments(_ x: UnsafeMutablePointer<Float>, _ d: Int) -> (mean: Float, inverse: Float) {
        var (s0, s1, s2, s3) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero), column = 0
        while column + 64 <= d {
            s0 += x.vector(at: column)
            s1 += x.vector(at: column + 16)
            s2 += x.vector(at: column + 32)
            s3 += x.vector(at: column + 48)
            column += 64
        }
        while column + 16 <= d { s0 += x.vector(at: column); column += 16 }
        var sum = ((s0 + s1) + (s2 + s3)).total
        while column < d { sum += x[column]; column += 1 }
        let mean = sum / Float(d)
        (s0, s1, s2, s3, column) = (.zero, .zero, .zero, .zero, 0)
        while column + 64 <= d {
            let (c0, c1) = (x.vector(at: column) - mean, x.vector(at: column + 16) - mean)
            let (c2, c3) = (x.vector(at: column + 32) - mean, x.vector(at: column + 48) - mean)
            s0 = s0.addingProduct(c0, c0)
            s1 = s1.addingProduct(c1, c1)
            s2 = s2.addingProduct(c2, c2)
            s3 = s3.addingProduct(c3, c3)
            column += 64
        }
        while column + 16 <= d {
            let centered = x.vector(at: column) - mean
            s0 = s0.addingProduct(centered, centered)
            column += 16
        }
        var square = ((s0 + s1) + (s2 + s3)).total
        while column < d { square += (x[column] - mean) * (x[column] - mean); column += 1 }
        return (mean, 1 / (square / Float(d) + epsilon).squareRoot())
    }

    private static func normalize(
        _ x: UnsafeMutablePointer<Float>, _ d: Int, _ mean: Float, _ inverse: Float,
        _ gain: UnsafePointer<Float>, _ bias: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>
    ) {
        var column = 0
        while column + 16 <= d {
            let normal = (x.vector(at: column) - mean) * inverse
            y.store(bias.vector(at: column).addingProduct(normal, gain.vector(at: column)), at: column)
            column += 16
        }
        while column < d {
            y[column] = (x[column] - mean) * inverse * gain[column] + bias[column]
            column += 1
        }
    }

    /// The gradient of a row, dx = inverse · (q − mean(q) − n · mean(q · n)) with n = (x − mean) · inverse and q = dy · γ.
    private static func backwardRow(
        _ dy: UnsafeMutablePointer<Float>, _ x: UnsafeMutablePointer<Float>, _ d: Int, _ mean: Float, _ inverse: Float,
        _ gain: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>, accumulate: Bool,
        _ dgain: UnsafeMutablePointer<Float>, _ dbias: UnsafeMutablePointer<Float>
    ) {
        var sums = Vector.zero, products = Vector.zero, column = 0
        while column + 16 <= d {
            let dyv = dy.vector(at: column)
            let normal = (x.vector(at: column) - mean) * inverse
            let q = dyv * gain.vector(at: column)
            sums += q
            products = products.addingProduct(q, normal)
            dgain.store(dgain.vector(at: column).addingProduct(dyv, normal), at: column)
            dbias.store(dbias.vector(at: column) + dyv, at: column)
            column += 16
        }
        var sum = sums.total, product = products.total
        while column < d {
            let normal = (x[column] - mean) * inverse
            sum += dy[column] * gain[column]
            product += dy[column] * gain[column] * normal
            dgain[column] += dy[column] * normal
            dbias[column] += dy[column]
            column += 1
        }
        let meanQ = sum / Float(d), meanQN = product / Float(d)
        column = 0
        while column + 16 <= d {
            let normal = (x.vector(at: column) - mean) * inverse
            let q = dy.vector(at: column) * gain.vector(at: column)
            let value = (q - meanQ - normal * meanQN) * inverse
            dx.store(accumulate ? dx.vector(at: column) + value : value, at: column)
            column += 16
        }
        while column < d {
            let normal = (x[column] - mean) * inverse
            let value = (dy[column] * gain[column] - meanQ - normal * meanQN) * inverse
            dx[column] = accumulate ? dx[column] + value : value
            column += 1
        }
    }

    private static func add(_ source: UnsafeMutablePointer<Float>, to target: UnsafeMutablePointer<Float>, _ count: Int) {
        var column = 0
        while column + 16 <= count {
            target.store(target.vector(at: column) + source.vector(at: column), at: column)
            column += 16
        }
        while column < count { target[column] += source[column]; column += 1 }
    }
}
