/// Rows between two matrices, each row at a place of its own.
public enum InterpolationKernel {
    /// out[t] ← (1 − g[t]) · a[t] + g[t] · b[t]: exactly a where g is 0, and b where it is 1.
    public static func forward(
        _ context: ComputeContext, from a: Tensor, to b: Tensor, at g: [Float], into out: Tensor
    ) {
        precondition(a.count == out.count && b.count == out.count && g.count == out.rows)
        let (ap, bp, op, d) = (UnsafePointer(a.pointer), UnsafePointer(b.pointer), out.pointer, out.columns)
        context.pool.parallelRanges(out.rows, grain: 64) { rows in
            for row in rows {
                let far = g[row], near = 1 - far
                var c = row * d
                let end = c + d
                while c + 16 <= end { op.store(ap.vector(at: c) * near + bp.vector(at: c) * far, at: c); c += 16 }
                while c < end { op[c] = ap[c] * near + bp[c] * far; c += 1 }
            }
        }
    }

    /// da[t] ← (1 − g[t]) · dout[t], db[t] ← g[t] · dout[t]; returns each dg[t] = dout[t] · (b[t] − a[t]).
    public static func backward(
        _ context: ComputeContext, _ dout: Tensor, from a: Tensor, to b: Tensor, at g: [Float], intoFrom da: Tensor,
        intoTo db: Tensor
    ) -> [Float] {
        precondition(a.count == dout.count && b.count == dout.count && g.count == dout.rows)
        precondition(da.count == dout.count && db.count == dout.count)
        let (ap, bp, gp) = (UnsafePointer(a.pointer), UnsafePointer(b.pointer), UnsafePointer(dout.pointer))
        let (dap, dbp, d) = (da.pointer, db.pointer, dout.columns)
        var dg = [Float](repeating: 0, count: dout.rows)
        dg.withUnsafeMutableBufferPointer { dg in
            let dgp = dg.baseAddress
            context.pool.parallelRanges(dout.rows, grain: 64) { rows in
                for row in rows {
                    let far = g[row], near = 1 - far
                    var c = row * d, sums = Vector.zero
                    let end = c + d
                    while c + 16 <= end {
                        let gradient = gp.vector(at: c)
                        dap.store(gradient * near, at: c)
                        dbp.store(gradient * far, at: c)
                        sums = sums.addingProduct(gradient, bp.vector(at: c) - ap.vector(at: c))
                        c += 16
                    }
                    var sum = sums.total
                    while c < end {
                        dap[c] = gp[c] * near
                        dbp[c] = gp[c] * far
                        sum += gp[c] * (bp[c] - ap[c])
                        c += 1
                    }
                    dgp![row] = sum
                }
            }
        }
        return dg
    }
}
