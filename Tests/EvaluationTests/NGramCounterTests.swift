import Testing

@testable import Evaluation

@Suite struct NGramCounterTests {
    @Test func countsBeyondItsFirstSize() {
        var counter = NGramCounter()
        for _ in 0..<3 {
            counter.removeAll()
            for i in 0..<5000 {
                for _ in 0...i % 3 { counter.insert(.init(high: UInt64(i % 7), low: UInt64(i))) }
            }
            var removed = 0
            for i in 0..<5000 {
                while counter.remove(.init(high: UInt64(i % 7), low: UInt64(i))) { removed += 1 }
                if counter.remove(.init(high: 9, low: UInt64(i))) { removed += 1 }
            }
            #expect(removed == (0..<5000).reduce(0) { $0 + $1 % 3 + 1 })
        }
    }
}
