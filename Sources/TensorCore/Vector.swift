/// Sixteen floats: two AVX2 registers, one of AVX-512. Kernels step through rows by this width and finish the tail one
/// element at a time.
typealias Vector = SIMD16<Float>

extension UnsafePointer<Float> {
    @inline(__always)
    func vector(at index: Int) -> Vector {
        UnsafeRawPointer(self + index).loadUnaligned(as: Vector.self)
    }
}

extension UnsafeMutablePointer<Float> {
    @inline(__always)
    func vector(at index: Int) -> Vector {
        UnsafeRawPointer(self + index).loadUnaligned(as: Vector.self)
    }

    @inline(__always)
    func store(_ vector: Vector, at index: Int) {
        UnsafeMutableRawPointer(self + index).storeBytes(of: vector, as: Vector.self)
    }

    /// `count` elements, at most 16, and zeros.
    func first(_ count: Int) -> Vector {
        var vector = Vector.zero
        for lane in 0..<count { vector[lane] = self[lane] }
        return vector
    }

    func storeFirst(_ count: Int, of vector: Vector) {
        for lane in 0..<count { self[lane] = vector[lane] }
    }
}

extension SIMD16<Float> {
    static let lanes = SIMD16<Float>(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)

    /// The sum of the lanes, pairwise: the library's `sum()` adds them one after another.
    @inline(__always)
    var total: Float {
        let eight = lowHalf + highHalf
        let four = eight.lowHalf + eight.highHalf
        let two = four.lowHalf + four.highHalf
        return two.x + two.y
    }

    @inline(__always)
    func larger(than other: Self) -> Self { other.replacing(with: self, where: self .> other) }

    @inline(__always)
    var largest: Float {
        let eight = lowHalf.replacing(with: highHalf, where: highHalf .> lowHalf)
        let four = eight.lowHalf.replacing(with: eight.highHalf, where: eight.highHalf .> eight.lowHalf)
        let two = four.lowHalf.replacing(with: four.highHalf, where: four.highHalf .> four.lowHalf)
        return Swift.max(two.x, two.y)
    }

    /// The square root of each lane, which must not be negative; relative error below 2e-7. Normal numbers and zero only: a
    /// denormal's root may be 0 or of either sign, but is below 1e-18.
    ///
    /// The library's `squareRoot()` takes one lane after another. Here 1 / √x is guessed by halving the exponent, and refined
    /// by Newton's iteration, which squares the relative error of 3 %; then √x = x · (1 / √x), corrected once.
    @inline(__always)
    var root: Self {
        let guess = SIMD16<Int32>(repeating: 0x5F37_59DF) &- (unsafeBitCast(self, to: SIMD16<Int32>.self) &>> 1)
        var y = unsafeBitCast(guess, to: Self.self)
        let half = self * 0.5
        for _ in 0..<3 { y *= Self(repeating: 1.5).addingProduct(-half * y, y) }
        let root = self * y
        return root.addingProduct(self.addingProduct(-root, root), y * 0.5)
    }

    /// e to each lane, relative error below 2e-7; 0 below -87.3, and e^88 above 88.
    ///
    /// 2ⁿ · e^r with |r| ≤ ln 2 / 2: n is rounded by adding 1.5 · 2²³, whose last bits it then occupies, and becomes the
    /// exponent; e^r is a polynomial of degree 6.
    @inline(__always)
    static func exp(_ x: Self) -> Self {
        let floor = Self(repeating: -87.3), ceiling = Self(repeating: 88)
        var clamped = x.replacing(with: ceiling, where: x .> ceiling)
        clamped = clamped.replacing(with: floor, where: clamped .< floor)
        let magic = Self(repeating: 12_582_912)
        let shifted = magic.addingProduct(clamped, Self(repeating: 1.442_695_04))
        let n = shifted - magic
        var r = clamped.addingProduct(n, Self(repeating: -0.693_359_375))
        r = r.addingProduct(n, Self(repeating: 2.121_944_4e-4))
        var p = Self(repeating: 1.987_569_15e-4)
        p = Self(repeating: 1.398_199_95e-3).addingProduct(p, r)
        p = Self(repeating: 8.333_452e-3).addingProduct(p, r)
        p = Self(repeating: 4.166_579_6e-2).addingProduct(p, r)
        p = Self(repeating: 1.666_666_55e-1).addingProduct(p, r)
        p = Self(repeating: 0.5).addingProduct(p, r)
        let exponential = (r + 1).addingProduct(p, r * r)
        let bits = unsafeBitCast(shifted, to: SIMD16<Int32>.self) &- SIMD16<Int32>(repeating: 0x4B40_0000)
        let scale = unsafeBitCast((bits &+ 127) &<< 23, to: Self.self)
        return (exponential * scale).replacing(with: 0, where: x .< floor)
    }
}
