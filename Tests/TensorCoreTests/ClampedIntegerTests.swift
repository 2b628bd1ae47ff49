import TensorCore
import Testing

@Suite struct ClampedIntegerTests {
    @Test func numbersThatFitLoseTheirFractionAlone() {
        #expect(Int(clamped: 2.9) == 2 && Int(clamped: -2.9) == -2 && Int(clamped: 0) == 0)
        #expect(Int(clamped: 0x1p62) == 1 << 62 && Int(clamped: (0x1p63).nextDown) == Int((0x1p63).nextDown))
    }

    @Test func othersAreTheNearest() {
        for value in [0x1p63, 1e300, .infinity] {
            #expect(Int(clamped: value) == .max && Int(clamped: -value) == .min)
        }
        #expect(Int(clamped: .nan) == 0)
    }
}
