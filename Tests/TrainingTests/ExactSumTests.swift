import Testing
import _TestSupport

@testable import Training

/// Sums that no order changes.
@Suite struct ExactSumTests {
    private static func sum(_ values: some Sequence<Double>) -> ExactSum {
        values.reduce(into: ExactSum()) { $0 += $1 }
    }

    @Test(
        arguments: [
            ([], 0), ([0.1], 0.1), ([-0.1], -0.1), ([1e300, 1, -1e300], 1), ([1, 1e-300, -1], 1e-300),
            ([0.5, 0.25, -4], -3.25), ([.leastNonzeroMagnitude, .leastNonzeroMagnitude], 2 * Double.leastNonzeroMagnitude),
            ([.greatestFiniteMagnitude, -.greatestFiniteMagnitude], 0), ([-1e-5, 1e22, -1e22, 3], 2.99999),
            ([.infinity, 1], .infinity), ([-.infinity, 1], -.infinity),
            ([.greatestFiniteMagnitude, .greatestFiniteMagnitude], .infinity),
        ] as [([Double], Double)])
    func nothingIsLost(values: [Double], expected: Double) {
        #expect(Self.sum(values).value == expected)
        #expect(Self.sum(values.reversed()).value == expected)
    }

    /// Half a unit in the last place goes to the even neighbour; with the smallest bit more, upwards.
    @Test func theSumIsRoundedOnce() {
        let half = 0x1p-53
        #expect(Self.sum([1, half]).value == 1 && Self.sum([1, half, 0x1p-900]).value == 1 + 0x1p-52)
        #expect(Self.sum([-1, -half, -0x1p-900]).value == -1 - 0x1p-52 && Self.sum([1, half, -0x1p-900]).value == 1)
    }

    @Test func whatIsNoNumberStaysSo() {
        #expect(Self.sum([1, .nan]).value.isNaN && Self.sum([.infinity, -.infinity]).value.isNaN)
    }

    /// Plain sums of these differ by their order; so do they from a sum in twice the precision.
    @Test func orderAndPartsChangeNoBit() {
        let values = normalValues(5000, seed: 3).enumerated().map { Double($1) * (($0 % 7 == 0) ? 1e9 : 1e-7) }
        let whole = Self.sum(values)
        #expect(values.reduce(0, +) != values.reversed().reduce(0, +), "or the test shows nothing")
        #expect(Self.sum(values.reversed()).counts == whole.counts)
        for parts in [2, 3, 16] {
            var together = ExactSum()
            let counts = (0..<parts).map { part in
                Self.sum(values.enumerated().filter { $0.offset % parts == part }.map(\.element)).counts
            }
            together.counts = counts.dropFirst().reduce(counts[0]) { zip($0, $1).map(+) }
            #expect(together.value == whole.value && together.counts == whole.counts)
        }
        #expect(abs(whole.value - values.reduce(0, +)) <= 1e-6 * abs(whole.value))
    }
}
