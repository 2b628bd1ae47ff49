/// Softmax of single rows, in 32 bits.
public enum SoftmaxKernel {
    /// x ← softmax(scale · x), in place.
    public static func normalize(_ x: UnsafeMutablePointer<Float>, count: Int, scale: Float = 1) {
        guard count > 0 else { return }
        let sum = exponentiate(x, count: count, scale: scale, maximum: maximum(x, count: count))
        multiply(x, count: count, by: 1 / sum)
    }

    /// x ← softmax(scale · x) of the first `count` elements, and 0 for the others up to `padded`, a multiple of 16.
    static func normalizePadded(_ x: UnsafeMutablePointer<Float>, count: Int, padded: Int, scale: Float) {
        guard count > 0 else { return x.update(repeating: 0, count: padded) }
        let last = (count - 1) & ~15
        let tail = x.vector(at: last).replacing(with: -.infinity, where: Vector.lanes .>= Float(count - last))
        var largest = tail, c = 0
        while c < last { largest = largest.larger(than: x.vector(at: c)); c += 16 }
        let maximum = largest.largest
        var sums = Vector.exp((tail - maximum) * scale)
        x.store(sums, at: last)
        c = 0
        while c < last {
            let e = Vector.exp((x.vector(at: c) - maximum) * scale)
            x.store(e, at: c)
            sums += e
            c += 16
        }
        let factor = 1 / sums.total
        c = 0
        while c <= last { x.store(x.vector(at: c) * factor, at: c); c += 16 }
        while c < padded { x.store(.zero, at: c); c += 16 }
    }

    static func maximum(_ x: UnsafePointer<Float>, count: Int) -> Float {
        var c = 0, result = -Float.infinity
        if count >= 16 {
            var largest = x.vector(at: 0)
            c = 16
            while c + 16 <= count { largest = largest.larger(than: x.vector(at: c)); c += 16 }
            result = largest.largest
        }
        while c < count { result = max(result, x[c]); c += 1 }
        return result
    }

    /// x ← e^(scale · (x − maximum)); returns the sum.
    static func exponentiate(_ x: UnsafeMutablePointer<Float>, count: Int, scale: Float, maximum: Float) -> Float {
        var sums = Vector.zero, c = 0
        while c + 16 <= count {
            let e = Vector.exp((x.vector(at: c) - maximum) * scale)
            x.store(e, at: c)
            sums += e
            c += 16
        }
        var sum = sums.total
        if c < count {
            // The tail goes through the same exponential, so that a row's values do not depend on where it ends.
            var last = Vector(repeating: -.greatestFiniteMagnitude)
            for lane in 0..<count - c { last[lane] = (x[c + lane] - maximum) * scale }
            last = Vector.exp(last)
            for lane in 0..<count - c {
                x[c + lane] = last[lane]
                sum += last[lane]
            }
        }
        return sum
    }

    static func multiply(_ x: UnsafeMutablePointer<Float>, count: Int, by factor: Float) {
        var c = 0
        while c + 16 <= count { x.store(x.vector(at: c) * factor, at: c); c += 16 }
        while c < count { x[c] *= factor; c += 1 }
    }
}
