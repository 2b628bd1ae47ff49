/// The random numbers of NumPy's default generator, PCG64 with output XSL-RR (O'Neill 2014) seeded through SeedSequence, as far as
/// sacreBLEU's tests of significance draw them: the same seed gives the same numbers, and so the same p-values.
struct NumPyRandom {
    private var state: UInt128
    private let increment: UInt128
    private static let multiplier = UInt128(2_549_297_995_355_413_924) << 64 | 4_865_540_595_714_422_341
    /// The half of the last 64 bits that was not asked for yet.
    private var half: UInt32?

    init(seed: UInt32) {
        var words = SeedSequence(entropy: [seed])
        let state = words.next128(), sequence = words.next128()
        increment = sequence << 1 | 1
        self.state = increment &+ state
        advance()
    }

    private mutating func advance() { state = state &* Self.multiplier &+ increment }

    private mutating func next64() -> UInt64 {
        advance()
        let folded = UInt64(truncatingIfNeeded: state >> 64) ^ UInt64(truncatingIfNeeded: state), turn = UInt64(state >> 122)
        return folded >> turn | folded << (64 &- turn & 63)
    }

    private mutating func next32() -> UInt32 {
        if let half {
            self.half = nil
            return half
        }
        let both = next64()
        half = UInt32(truncatingIfNeeded: both >> 32)
        return UInt32(truncatingIfNeeded: both)
    }

    /// `choice(bound, size=count)`: numbers from 0 to below `bound`, without preference (Lemire 2019).
    mutating func choice(_ count: Int, below bound: Int) -> [Int] {
        precondition(bound > 0 && bound < 1 << 32, "NumPy draws larger ranges otherwise")
        guard bound > 1 else { return [Int](repeating: 0, count: count) }
        let range = UInt32(bound), threshold = (0 &- range) % range
        return (0..<count).map { _ in
            while true {
                let product = UInt64(next32()) * UInt64(range)
                if UInt32(truncatingIfNeeded: product) >= threshold { return Int(product >> 32) }
            }
        }
    }

    /// `integers(2, size=count, dtype=bool)`, a part at a time: the bits of 32-bit numbers, the lowest first.
    struct Bits {
        private var random: NumPyRandom
        private var bits: UInt32 = 0
        private var left = 0

        init(_ random: NumPyRandom) { self.random = random }

        mutating func next() -> Bool {
            if left == 0 { (bits, left) = (random.next32(), 32) }
            defer { (bits, left) = (bits >> 1, left - 1) }
            return bits & 1 == 1
        }
    }
}

/// NumPy's SeedSequence, after O'Neill's seed_seq_fe: a pool of four words that the seed is mixed into.
private struct SeedSequence {
    private var pool: [UInt32] = []
    private var place = 0
    private var hash: UInt32 = 0x8B51_F9DD

    init(entropy: [UInt32]) {
        var hash: UInt32 = 0x43B0_D7E5
        func hashed(_ value: UInt32) -> UInt32 {
            var value = value ^ hash
            hash = hash &* 0x931E_8875
            value = value &* hash
            return value ^ value >> 16
        }
        func mixed(_ a: UInt32, _ b: UInt32) -> UInt32 {
            let value = 0xCA01_F9DD &* a &- 0x4973_F715 &* b
            return value ^ value >> 16
        }
        for index in 0..<4 { pool.append(hashed(index < entropy.count ? entropy[index] : 0)) }
        for source in 0..<4 {
            for target in 0..<4 where source != target { pool[target] = mixed(pool[target], hashed(pool[source])) }
        }
    }

    private mutating func next32() -> UInt32 {
        var value = pool[place % 4] ^ hash
        place += 1
        hash = hash &* 0x58F3_8DED
        value = value &* hash
        return value ^ value >> 16
    }

    /// Two 64-bit words, the higher first, each of two 32-bit ones, the lower first.
    mutating func next128() -> UInt128 {
        func next64(_ self: inout SeedSequence) -> UInt64 {
            let low = UInt64(self.next32())
            return UInt64(self.next32()) << 32 | low
        }
        let high = next64(&self)
        return UInt128(high) << 64 | UInt128(next64(&self))
    }
}
