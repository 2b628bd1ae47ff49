import Foundation

/// Token embeddings scaled by sqrt(d), plus sinusoidal positions, then dropout.
public enum EmbeddingKernel {
    /// Sines in the first half of the columns, cosines in the second; wavelengths from 2π to 10000 · 2π. [length, d]
    public static func sinusoids(_ context: ComputeContext, length: Int, dim: Int) -> Tensor {
        let table = context.zeros(length, dim)
        let half = dim / 2
        let step = half > 1 ? log(10000.0) / Double(half - 1) : 0
        for position in 0..<length {
            for i in 0..<half {
                let angle = Double(position) * exp(-step * Double(i))
                table[position, i] = Float(sin(angle))
                table[position, half + i] = Float(cos(angle))
            }
        }
        return table
    }

    /// out [T, d] ← dropout(weight[token] · sqrt(d) + sinusoids[position in its sentence]).
    public static func forward(
        _ context: ComputeContext, tokens: [Int32], segments: Segments, weight: Tensor, sinusoids: Tensor,
        mask: DropoutMask, into out: Tensor
    ) {
        precondition(tokens.count == segments.rows && out.rows == tokens.count && out.columns == weight.columns)
        precondition(segments.longest <= sinusoids.rows, "sentences must be at most \(sinusoids.rows) tokens long")
        let target = Target(weight: weight, sinusoids: sinusoids, out: out)
        tokens.withUnsafeBufferPointer { tokens in
            context.pool.parallelFor(segments.count) { segment in
                for row in segments.range(segment) {
                    target.embed(tokens[row], position: row - segments.offsets[segment], row: row)
                }
            }
        }
        if !mask.dropsNothing { Elementwise.dropout(context, out, mask: mask, into: out) }
    }

    /// out [T, d] ← weight[token] · sqrt(d) + sinusoids[its position].
    public static func forward(
        _ context: ComputeContext, tokens: [Int32], positions: [Int], weight: Tensor, sinusoids: Tensor, into out: Tensor
    ) {
        precondition(tokens.count == positions.count && out.rows == tokens.count && out.columns == weight.columns)
        let target = Target(weight: weight, sinusoids: sinusoids, out: out)
        for row in tokens.indices { target.embed(tokens[row], position: positions[row], row: row) }
    }

    /// What rows are embedded from and to.
    private struct Target {
        let weight, sinusoids: UnsafePointer<Float>
        let out: UnsafeMutablePointer<Float>
        let words, positions, d: Int
        let scale: Float

        init(weight: Tensor, sinusoids: Tensor, out: Tensor) {
            (self.weight, self.sinusoids, self.out) =
                (UnsafePointer(weight.pointer), UnsafePointer(sinusoids.pointer), out.pointer)
            (words, positions, d) = (weight.rows, sinusoids.rows, weight.columns)
            scale = Float(d).squareRoot()
        }

        @inline(__always)
        func embed(_ token: Int32, position: Int, row: Int) {
            precondition(token >= 0 && token < words, "token \(token) is not in the vocabulary")
            precondition(position >= 0 && position < positions)
            let w = weight + Int(token) * d, s = sinusoids + position * d, o = out + row * d
            var c = 0
            while c + 16 <= d {
                o.store(s.vector(at: c).addingProduct(w.vector(at: c), Vector(repeating: scale)), at: c)
                c += 16
            }
            while c < d { o[c] = s[c] + w[c] * scale; c += 1 }
        }
    }

    /// dweight[token] += sqrt(d) · dout[row]; `dout` has been through dropout's backward. Columns are split over the
    /// threads, so that every sum is in row order.
    public static func backward(_ context: ComputeContext, tokens: [Int32], dout: Tensor, into dweight: Tensor) {
        let d = dweight.columns, scale = Vector(repeating: Float(d).squareRoot())
        let (gp, wp) = (UnsafePointer(dout.pointer), dweight.pointer)
        tokens.withUnsafeBufferPointer { tokens in
            context.pool.parallelRanges(d, grain: 128) { columns in
                for row in 0..<tokens.count {
                    let g = gp + row * d, w = wp + Int(tokens[row]) * d
                    var c = columns.lowerBound
                    while c + 16 <= columns.upperBound {
                        w.store(w.vector(at: c).addingProduct(g.vector(at: c), scale), at: c)
                        c += 16
                    }
                    while c < columns.upperBound { w[c] += g[c] * scale[0]; c += 1 }
                }
            }
        }
    }
}
