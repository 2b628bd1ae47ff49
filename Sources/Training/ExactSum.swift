/// A sum of numbers without rounding: it is the same in any order, and on any number of ranks. Its value is rounded once.
struct ExactSum: Equatable, Sendable {
    /// Digits of 32 bits of a fixed-point number that begins at the smallest double, with room for carries: Σ digits[i] · 2^(32 i −
    /// 1074).
    private var digits = [Int64](repeating: 0, count: Self.digitCount)
    /// Numbers that were added since carries were last taken along.
    private var added = 0
    /// How often infinity, minus infinity and NaN were added.
    private var special: [Int64] = [0, 0, 0]

    private static let digitCount = 68

    static func += (sum: inout ExactSum, value: Double) {
        guard value.isFinite else {
            sum.special[value.isNaN ? 2 : value > 0 ? 0 : 1] += 1
            return
        }
        let exponent = max(Int(value.exponentBitPattern), 1) - 1
        let significand = value.significandBitPattern | (value.isNormal ? 1 << 52 : 0)
        var rest = UInt128(significand) << (exponent % 32), digit = exponent / 32
        while rest > 0 {
            let part = Int64(UInt32(truncatingIfNeeded: rest))
            sum.digits[digit] += value < 0 ? -part : part
            rest >>= 32
            digit += 1
        }
        sum.added += 1
        if sum.added == 1 << 30 { sum.carry() }
    }

    /// Makes every digit but the last at least 0 and less than 2³²: equal sums have equal digits then.
    private mutating func carry() {
        for digit in 0..<Self.digitCount - 1 {
            digits[digit + 1] += digits[digit] >> 32
            digits[digit] &= 0xffff_ffff
        }
        added = 0
    }

    /// The sum, rounded to a double.
    var value: Double {
        if special[2] > 0 || (special[0] > 0 && special[1] > 0) { return .nan }
        if special[0] > 0 { return .infinity }
        if special[1] > 0 { return -.infinity }
        var sum = self
        sum.carry()
        let isNegative = sum.digits[Self.digitCount - 1] < 0
        if isNegative {
            for digit in sum.digits.indices { sum.digits[digit].negate() }
            sum.carry()
        }
        guard let highest = sum.digits.lastIndex(where: { $0 != 0 }) else { return 0 }
        // Three digits hold more bits than a double has; of those below it matters alone whether there are any.
        let lowest = max(0, highest - 2)
        var bits = (lowest...highest).reversed().reduce(UInt128(0)) { $0 << 32 | UInt128(sum.digits[$1]) }
        if sum.digits[..<lowest].contains(where: { $0 != 0 }) { bits |= 1 }
        let magnitude = Double(sign: .plus, exponent: 32 * lowest - 1074, significand: Double(bits))
        return isNegative ? -magnitude : magnitude
    }

    /// The sum as integers, which may be added to those of other sums; as many come back.
    var counts: [Int64] {
        get {
            var sum = self
            sum.carry()
            return sum.digits + sum.special
        }
        set {
            digits = Array(newValue[..<Self.digitCount])
            special = Array(newValue[Self.digitCount...])
            carry()
        }
    }
}
