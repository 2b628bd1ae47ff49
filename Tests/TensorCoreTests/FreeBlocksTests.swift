@testable import TensorCore
import Testing

@Suite struct FreeBlocksTests {
    private typealias Block = FreeBlocks.Block

    @Test func theSmallestBlockThatHoldsTheRequestIsTaken() {
        var free = FreeBlocks()
        for (address, capacity) in [(1, 1024), (2, 512), (3, 640), (4, 2048)] { free.add(UInt(address), capacity: capacity) }
        #expect(free.take(576) == Block(address: 3, capacity: 640))
        #expect(free.take(576) == Block(address: 1, capacity: 1024))
        #expect(free.take(576) == nil, "a block of more than twice the size is kept for what needs it, and a smaller one too")
        #expect(free.take(512) == Block(address: 2, capacity: 512))
        #expect(free.take(1024) == Block(address: 4, capacity: 2048))
        #expect(free.takeLongestFree() == nil)
    }

    @Test func ofEqualBlocksTheLastFreedIsTaken() {
        var free = FreeBlocks()
        for address in 1...3 { free.add(UInt(address), capacity: 64) }
        #expect((0..<4).map { _ in free.take(64)?.address } == [3, 2, 1, nil])
    }

    /// Whatever order a dictionary has.
    @Test func theBlockThatIsFreeForLongestIsGivenBackFirst() {
        var free = FreeBlocks()
        let capacities = [640, 64, 128, 640, 1024, 64, 2048, 96]
        for (index, capacity) in capacities.enumerated() { free.add(UInt(index + 1), capacity: capacity) }
        // Used and freed again: the youngest now.
        #expect(free.take(128) == Block(address: 3, capacity: 128))
        free.add(3, capacity: 128)
        #expect((0..<9).map { _ in free.takeLongestFree()?.address } == [1, 2, 4, 5, 6, 7, 8, 3, nil])
    }
}
