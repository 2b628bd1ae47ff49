import Testing

@testable import DataPipeline

@Suite struct KeyedPermutationTests {
    @Test(arguments: [1, 2, 3, 4, 5, 7, 16, 17, 100, 1000, 4096, 4097, 65_537])
    func isABijection(count: Int) {
        for key: UInt64 in [0, 1, .max] {
            let permutation = KeyedPermutation(count: count, key: key)
            var seen = Array(repeating: false, count: count)
            for index in 0..<count {
                let value = permutation[index]
                #expect(value >= 0 && value < count && !seen[value])
                seen[value] = true
            }
        }
    }

    @Test func keysGiveDifferentOrders() {
        let orders = (0..<50).map { key in
            let permutation = KeyedPermutation(count: 20, key: UInt64(key))
            return (0..<20).map { permutation[$0] }
        }
        #expect(Set(orders).count == 50)
    }

    /// Every element must come first about as often as any other: 12,000 keys, 12 elements, 1,000 times each ± 5 σ.
    @Test func firstPlacesAreEven() {
        var counts = Array(repeating: 0, count: 12)
        for key in 0..<12_000 { counts[KeyedPermutation(count: 12, key: combinedKey(7, UInt64(key)))[0]] += 1 }
        for count in counts { #expect(abs(count - 1000) < 150, "\(counts)") }
    }

    @Test func largeRangesStayInRange() {
        let permutation = KeyedPermutation(count: 5_000_000_000, key: 3)
        let values = (0..<1000).map { permutation[$0] }
        #expect(Set(values).count == 1000)
        #expect(values.allSatisfy { $0 < 5_000_000_000 })
        #expect(values.contains { $0 > 4_000_000_000 })
    }

    @Test func combinedKeysTellPositionsApart() {
        #expect(combinedKey(1, 2) != combinedKey(2, 1))
        #expect(combinedKey(1) != combinedKey(1, 0))
        #expect(Set((0..<100).flatMap { a in (0..<100).map { combinedKey(a, $0) } }).count == 10_000)
    }
}
