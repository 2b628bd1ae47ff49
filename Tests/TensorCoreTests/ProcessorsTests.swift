@testable import TensorCore
import Testing

@Suite struct ProcessorsTests {
    @Test(arguments: [("0", 1), ("0-3,8", 5), ("1,3-4,6-6", 4)] as [(Substring, Int)])
    func aListIsCounted(list: Substring, count: Int) {
        #expect(Processors.count(in: list) == count)
    }

    @Test(arguments: ["", "a", "3-1", "0-", "0-1-2", "0,,1"] as [Substring])
    func whatIsNoListIsNotCounted(list: Substring) {
        #expect(Processors.count(in: list) == nil)
    }

    @Test func theKernelSaysWhichAreAvailable() {
        #expect(Processors.count(in: Processors.allowed) == Processors.available)
        #expect(Processors.available >= 1)
    }
}
