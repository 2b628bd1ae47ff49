/// A bijection of 0 ..< count that a key decides, computed for one element at a time in constant time and memory.
///
/// A balanced Feistel network over the next even number of bits, walked along its cycle until the value lies in range
/// (fewer than four steps on average). Good for shuffling, not for secrets.
struct KeyedPermutation: Sendable {
    private static let rounds: UInt64 = 6

    let count: Int
    private let key: UInt64
    private let halfBits: UInt64
    private let halfMask: UInt64

    init(count: Int, key: UInt64) {
        precondition(count > 0, "a permutation must have elements")
        self.count = count
        self.key = key
        let bits = UInt64(Int.bitWidth - (count - 1).leadingZeroBitCount)
        halfBits = max(1, (bits + 1) / 2)
        halfMask = (1 << halfBits) - 1
    }

    subscript(index: Int) -> Int {
        precondition(index >= 0 && index < count)
        var value = UInt64(index)
        repeat {
            var left = value >> halfBits
            var right = value & halfMask
            for round in 0..<Self.rounds {
                (left, right) = (right, left ^ (mixed(right ^ (round << 56) ^ key) & halfMask))
            }
            value = left << halfBits | right
        } while value >= UInt64(count)
        return Int(value)
    }
}

/// A key from several numbers; each position counts.
func combinedKey(_ parts: UInt64...) -> UInt64 {
    parts.reduce(0x243F_6A88_85A3_08D3) { mixed($0 &+ 0x9E37_79B9_7F4A_7C15 ^ mixed($1)) }
}

/// The SplitMix64 finaliser: every bit of the value reaches every bit of the result.
@inline(__always)
private func mixed(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
}
