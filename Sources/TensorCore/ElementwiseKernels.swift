/// Element-wise passes over rows, fused so that each touches memory once.
public enum Elementwise {
    /// out ← residual + dropout(y + bias). `out` may be `y` or `residual`.
    public static func residualDropout(
        _ context: ComputeContext, residual: Tensor, y: Tensor, bias: Tensor?, mask: DropoutMask, into out: Tensor
    ) {
        precondition(residual.count == y.count && out.count == y.count)
        let (rp, yp, op, d) = (UnsafePointer(residual.pointer), UnsafePointer(y.pointer), out.pointer, y.columns)
        let bp = bias.map { UnsafePointer($0.pointer) }
        context.pool.parallelRanges(y.rows, grain: 64) { rows in
            for row in rows {
                let base = row * d
                var c = 0
                while c + 32 <= d {
                    let (low, high) =
                        mask.dropsNothing
                        ? (Vector(repeating: 1), Vector(repeating: 1)) : mask.factors(row: row, column: c, columns: d)
                    var (first, second) = (yp.vector(at: base + c), yp.vector(at: base + c + 16))
                    if let bp { first += bp.vector(at: c); second += bp.vector(at: c + 16) }
                    op.store(rp.vector(at: base + c).addingProduct(first, low), at: base + c)
                    op.store(rp.vector(at: base + c + 16).addingProduct(second, high), at: base + c + 16)
                    c += 32
                }
                while c < d {
                    let value = yp[base + c] + (bp?[c] ?? 0)
                    op[base + c] = rp[base + c] + value * mask.factor(row: row, column: c, columns: d)
                    c += 1
                }
            }
        }
    }

    /// out ← dropout(x); also dropout's backward. `out` may be `x`.
    public static func dropout(_ context: ComputeContext, _ x: Tensor, mask: DropoutMask, into out: Tensor) {
        let (xp, op, d) = (UnsafePointer(x.pointer), out.pointer, x.columns)
        context.pool.parallelRanges(x.rows, grain: 64) { rows in
            for row in rows {
                let base = row * d
                var c = 0
                while c + 32 <= d {
                    let (low, high) = mask.factors(row: row, column: c, columns: d)
                    op.store(xp.vector(at: base + c) * low, at: base + c)
                    op.store(xp.vector(at: base + c + 16) * high, at: base + c + 16)
                    c += 32
                }
                while c < d {
                    op[base + c] = xp[base + c] * mask.factor(row: row, column: c, columns: d)
                    c += 1
                }
            }
        }
    }

    /// target += source.
    public static func add(_ context: ComputeContext, _ source: Tensor, to target: Tensor) {
        precondition(source.count == target.count)
        let (sp, tp) = (UnsafePointer(source.pointer), target.pointer)
        context.pool.parallelRanges(source.count, grain: 1 << 16) { range in
            var c = range.lowerBound
            while c + 16 <= range.upperBound { tp.store(tp.vector(at: c) + sp.vector(at: c), at: c); c += 16 }
            while c < range.upperBound { tp[c] += sp[c]; c += 1 }
        }
    }

    /// sums [d] += Σ over the rows of y [T, d]: a bias's gradient.
    public static func addColumnSums(_ context: ComputeContext, of y: Tensor, to sums: Tensor) {
        precondition(sums.count == y.columns)
        let (yp, sp, d, rows) = (UnsafePointer(y.pointer), sums.pointer, y.columns, y.rows)
        context.pool.parallelRanges(d, grain: 128) { addColumnSums(yp, rows: rows, stride: d, columns: $0, to: sp) }
    }

    /// Adds column sums on the calling thread, for the columns given of `rows` rows that are `stride` apart.
    public static func addColumnSums(
        _ y: UnsafePointer<Float>, rows: Int, stride: Int, columns: Range<Int>, to sums: UnsafeMutablePointer<Float>
    ) {
        var c = columns.lowerBound
        while c + 64 <= columns.upperBound {
            var (s0, s1, s2, s3) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
            for row in 0..<rows {
                let r = y + row * stride + c
                s0 += r.vector(at: 0)
                s1 += r.vector(at: 16)
                s2 += r.vector(at: 32)
                s3 += r.vector(at: 48)
            }
            sums.store(sums.vector(at: c) + s0, at: c)
            sums.store(sums.vector(at: c + 16) + s1, at: c + 16)
            sums.store(sums.vector(at: c + 32) + s2, at: c + 32)
            sums.store(sums.vector(at: c + 48) + s3, at: c + 48)
            c += 64
        }
        while c < columns.upperBound {
            var sum: Float = 0
            for row in 0..<rows { sum += y[row * stride + c] }
            sums[c] += sum
            c += 1
        }
    }

    /// The sums of squares of the elements of each chunk, [chunks]; of a chunk the same whatever the threads and the other chunks.
    public static func sumsOfSquares(
        _ context: ComputeContext, _ values: UnsafeMutableBufferPointer<Float>, chunks: [Range<Int>]
    ) -> [Double] {
        guard let base = values.baseAddress, !chunks.isEmpty else { return [] }
        return [Double](unsafeUninitializedCapacity: chunks.count) { results, count in
            let result = results.baseAddress!
            context.pool.parallelRanges(chunks.count, grain: 256) { range in
                for chunk in range {
                    var sums = Vector.zero, rest: Float = 0, c = chunks[chunk].lowerBound
                    let end = chunks[chunk].upperBound
                    while c + 16 <= end { let v = base.vector(at: c); sums = sums.addingProduct(v, v); c += 16 }
                    while c < end { rest += base[c] * base[c]; c += 1 }
                    result[chunk] = Double(sums.total) + Double(rest)
                }
            }
            count = chunks.count
        }
    }
}
