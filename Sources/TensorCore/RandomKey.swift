/// Names a stream of random numbers: the same key and index give the same number on any rank, in any order, again in
/// backward. Keys are derived along (seed, update, group, layer, purpose) and never from a rank.
public struct RandomKey: Hashable, Sendable {
    let state: UInt64

    public init(seed: UInt64) { state = Self.mix(seed &+ 0x9E37_79B9_7F4A_7C15) }
    private init(state: UInt64) { self.state = state }
    /// The key of the two halves of its state.
    init(low: UInt32, high: UInt32) { state = UInt64(high) << 32 | UInt64(low) }

    public func derived(_ value: Int) -> RandomKey {
        RandomKey(state: Self.mix(state ^ Self.mix(UInt64(bitPattern: Int64(value)) &+ 0xD1B5_4A32_D192_ED03)))
    }

    /// The key that is derived from text, such as a parameter's name.
    public func derived(_ text: String) -> RandomKey {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return derived(Int(Int64(bitPattern: hash)))
    }

    /// The 32 random bits of an index.
    @inline(__always)
    public func bits(_ index: UInt32) -> UInt32 {
        var x = (index ^ low) &* 0x7FEB_352D
        x = ((x ^ (x &>> 16)) &+ high) &* 0x846C_A68B
        x = (x ^ (x &>> 15)) &* 0x9E37_79B1
        return x ^ (x &>> 16)
    }

    /// `bits` of `index` … `index` + 15.
    @inline(__always)
    func bits16(_ index: UInt32) -> SIMD16<UInt32> {
        var x = (SIMD16<UInt32>(repeating: index) &+ Self.lanes) ^ SIMD16(repeating: low)
        x = x &* SIMD16(repeating: 0x7FEB_352D)
        x = ((x ^ (x &>> 16)) &+ SIMD16(repeating: high)) &* SIMD16(repeating: 0x846C_A68B)
        x = (x ^ (x &>> 15)) &* SIMD16(repeating: 0x9E37_79B1)
        return x ^ (x &>> 16)
    }

    /// Uniform in the open interval (0, 1).
    @inline(__always)
    public func uniform(_ index: Int) -> Float { Self.unit(bits(UInt32(truncatingIfNeeded: index))) }

    /// A number in (0, 1) of 23 bits: with 24, the half that keeps 0 out would round the largest value up to 1.
    @inline(__always)
    static func unit(_ bits: UInt32) -> Float { (Float(bits >> 9) + 0.5) * 0x1p-23 }

    /// A standard Gumbel variable: -ln(-ln u).
    public func gumbel(_ index: Int) -> Float {
        -Scalar.log(-Scalar.log(uniform(index)))
    }

    /// A standard normal variable (Box and Muller).
    public func normal(_ index: Int) -> Float {
        let radius = (-2 * Scalar.log(uniform(2 * index))).squareRoot()
        return radius * Scalar.cos(2 * .pi * uniform(2 * index + 1))
    }

    @inline(__always) var low: UInt32 { UInt32(truncatingIfNeeded: state) }
    @inline(__always) var high: UInt32 { UInt32(truncatingIfNeeded: state >> 32) }

    private static let lanes = SIMD16<UInt32>(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)

    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
