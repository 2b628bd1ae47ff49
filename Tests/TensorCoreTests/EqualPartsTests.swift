@testable import TensorCore
import Testing

@Suite struct EqualPartsTests {
    @Test func partsCoverEverythingOnceAndDifferByOneAtMost() {
        for total in 0...70 {
            for size in [1, 3, 16, 64, 100] {
                let parts = EqualParts(total, atMost: size), ranges = (0..<parts.count).map { parts[$0] }
                #expect(ranges.flatMap(Array.init) == Array(0..<total))
                let sizes = ranges.map(\.count)
                #expect(sizes.max()! <= size && sizes.max()! - sizes.min()! <= 1)
                #expect(parts.count == max(1, (total + size - 1) / size))
            }
        }
    }
}
