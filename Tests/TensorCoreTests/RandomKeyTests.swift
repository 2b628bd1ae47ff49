@testable import TensorCore
import Testing

@Suite struct RandomKeyTests {
    @Test func derivedKeysDiffer() {
        var keys: Set<RandomKey> = []
        for seed in 0..<20 {
            let key = RandomKey(seed: UInt64(seed))
            keys.insert(key)
            for value in -20..<20 {
                keys.insert(key.derived(value))
                for inner in 0..<5 { keys.insert(key.derived(value).derived(inner)) }
            }
            for text in ["", "a", "b", "ab", "ba", "embedding.weight"] { keys.insert(key.derived(text)) }
        }
        #expect(keys.count == 20 * (1 + 40 + 200 + 6))
        #expect(RandomKey(seed: 1).derived(2).derived(3) != RandomKey(seed: 1).derived(3).derived(2))
    }

    @Test func vectorsHoldTheScalarsBits() {
        let key = RandomKey(seed: 11).derived(4)
        for index: UInt32 in [0, 16, 4080, 0xFFFF_FFF8] {
            let vector = key.bits16(index)
            for lane in 0..<16 { #expect(vector[lane] == key.bits(index &+ UInt32(lane))) }
        }
    }

    /// At the smallest and the largest bits, which one index in four thousand million draws: a Gumbel variable of 0 or 1
    /// would be infinite.
    @Test func uniformStaysInsideTheOpenInterval() {
        #expect(RandomKey.unit(0) > 0)
        #expect(RandomKey.unit(.max) < 1)
        #expect(RandomKey.unit(.max) > 0.999999)
    }

    @Test func momentsAreThoseOfTheDistributions() {
        let key = RandomKey(seed: 2), n = 200_000
        func moments(_ draw: (Int) -> Float) -> (mean: Double, variance: Double) {
            let values = (0..<n).map { Double(draw($0)) }, mean = values.reduce(0, +) / Double(n)
            return (mean, values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(n))
        }
        let uniform = moments(key.uniform), normal = moments(key.normal), gumbel = moments(key.gumbel)
        #expect(abs(uniform.mean - 0.5) < 0.003 && abs(uniform.variance - 1.0 / 12) < 0.001)
        #expect(abs(normal.mean) < 0.01 && abs(normal.variance - 1) < 0.02)
        #expect(abs(gumbel.mean - 0.5772) < 0.015 && abs(gumbel.variance - 1.6449) < 0.04)
    }

    @Test func everyBitIsHalfTheTimeSetAndFlipsWithTheIndex() {
        let key = RandomKey(seed: 8), n = 50_000
        for bit in 0..<32 {
            var set = 0, flipped = 0
            for i in 0..<n {
                let bits = key.bits(UInt32(i)), other = key.bits(UInt32(i) ^ 1)
                set += Int(bits >> UInt32(bit) & 1)
                flipped += Int((bits ^ other) >> UInt32(bit) & 1)
            }
            #expect(abs(Double(set) / Double(n) - 0.5) < 0.015)
            #expect(abs(Double(flipped) / Double(n) - 0.5) < 0.02)
        }
    }
}
