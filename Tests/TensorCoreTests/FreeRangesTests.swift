@testable import TensorCore
import Testing

@Suite struct FreeRangesTests {
    @Test func theLowestRangeThatHoldsTheRequestIsTaken() {
        var free = FreeRanges()
        for range in [40..<44, 10..<13, 20..<26] { free.add(range) }
        #expect(free.take(4) == 20)
        #expect(free.take(3) == 10)
        #expect(free.take(3) == 40)
        #expect(free.take(3) == nil, "three single places are left, but nowhere three together")
        #expect(free.take(2) == 24)
        #expect(free.take(1) == 43)
        #expect(free.take(1) == nil)
    }

    @Test func neighboursAreJoined() {
        var free = FreeRanges()
        for range in [0..<2, 6..<8, 2..<4, 4..<6] { free.add(range) }
        #expect(free.take(8) == 0)
    }

    @Test func onlyTheLastRangeIsTakenByItsEnd() {
        var free = FreeRanges()
        for range in [0..<2, 6..<8] { free.add(range) }
        #expect(free.takeLast(endingAt: 2) == nil)
        #expect(free.takeLast(endingAt: 9) == nil)
        #expect(free.takeLast(endingAt: 8) == 6)
        #expect(free.takeLast(endingAt: 8) == nil)
        #expect(free.take(2) == 0)
    }

    /// Against a list that says of every place whether it is free.
    @Test func agreesWithAListOfPlaces() {
        let key = RandomKey(seed: 3), places = 200
        var free = FreeRanges(), isFree = Array(repeating: true, count: places), taken: [Range<Int>] = []
        free.add(0..<places)
        for step in 0..<5000 {
            if key.uniform(3 * step) < 0.5, !taken.isEmpty {
                let range = taken.remove(at: Int(key.uniform(3 * step + 1) * Float(taken.count)))
                free.add(range)
                for place in range { isFree[place] = true }
            } else {
                let count = 1 + Int(key.uniform(3 * step + 1) * 20)
                let expected = (0...places - count).first { start in isFree[start..<start + count].allSatisfy { $0 } }
                let place = free.take(count)
                #expect(place == expected)
                guard let place else { continue }
                for place in place..<place + count { isFree[place] = false }
                taken.append(place..<place + count)
            }
        }
    }
}
