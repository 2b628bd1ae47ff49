@testable import TensorCore
import Testing
import _TestSupport

@Suite struct TensorAllocatorTests {
    @Test func sizeClassesHoldTheirRequestsAndWasteAnEighth() {
        for count in [0, 1, 63, 64, 65, 100, 127, 128, 129, 1000, 4095, 4096, 4097, 1_000_003, 1 << 24, (1 << 24) + 1] {
            let size = TensorAllocator.sizeClass(count)
            #expect(size >= count)
            #expect(count <= 64 ? size == 64 : Double(size) <= 1.126 * Double(count) + 1)
            #expect(TensorAllocator.sizeClass(size) == size)
        }
        let classes = Set((1 << 16 ..< 1 << 17).map(TensorAllocator.sizeClass))
        #expect(classes.count <= 9)
    }

    @Test func aFreedBlockIsUsedAgain() {
        let context = ComputeContext()
        let address = context.uninitialized(100, 100).pointer
        let again = context.uninitialized(100, 99)
        #expect(again.pointer == address)
        let other = context.uninitialized(100, 100)
        #expect(other.pointer != address)
    }

    @Test func viewsKeepTheBlock() {
        let context = ComputeContext()
        var whole: Tensor? = context.normal(10, 10, seed: 1)
        let view = whole!.rows(3..<5), bits = view.bits
        whole = nil
        let other = context.uninitialized(10, 10)
        other.fill(7)
        #expect(view.bits == bits)
    }

    @Test func memoryIsBoundedOverRaggedSizes() {
        let context = ComputeContext()
        for step in 0..<500 {
            let tokens = 3000 + step * 7919 % 600
            let x = context.uninitialized(tokens, 64), y = context.uninitialized(tokens, 256), z = context.uninitialized(tokens, 64)
            for tensor in [x, y, z] { tensor.pointer[tensor.count - 1] = 1 }
        }
        #expect(context.allocator.peakBytesInUse <= 3600 * 384 * 4 * 9 / 8 + 4096)
        #expect(context.allocator.bytesReserved <= TensorAllocator.reserveLimit(peakBytesInUse: context.allocator.peakBytesInUse))
        let warm = context.allocator.bytesReserved
        for step in 0..<500 { _ = context.uninitialized(3000 + step * 31 % 600, 256) }
        #expect(context.allocator.bytesReserved == warm)
    }

    /// Experts receive now half, now twice their share: the sizes of many steps must not add up.
    @Test func memoryIsBoundedOverWildSizes() {
        let context = ComputeContext(), key = RandomKey(seed: 1)
        for step in 0..<400 {
            let live = (0..<12).map { context.uninitialized(1, 20_000 + Int(180_000 * key.uniform(step * 12 + $0))) }
            for tensor in live { tensor.pointer[tensor.count - 1] = 1 }
        }
        #expect(context.allocator.bytesReserved <= TensorAllocator.reserveLimit(peakBytesInUse: context.allocator.peakBytesInUse))
        #expect(context.allocator.bytesReserved < 12 * 200_000 * 4 * 2)
    }

    /// No free block is large enough for the last request, and the old one makes room for it.
    @Test func blocksThatAreFreeAreGivenBackForNewMemory() {
        let context = ComputeContext(), live = context.uninitialized(1, 2_000_000)
        defer { withExtendedLifetime(live) {} }
        withExtendedLifetime(context.uninitialized(1, 1_000_000)) {}
        let reserved = context.allocator.bytesReserved
        let next = context.uninitialized(1, 1_100_000)
        #expect(context.allocator.bytesReserved < reserved + 200_000 * 4)
        #expect(context.allocator.bytesReserved >= live.count * 4 + next.count * 4)
        withExtendedLifetime(next) {}
    }

    @Test func aBlockOfTwiceTheSizeIsNotWasted() {
        let context = ComputeContext()
        let large = context.uninitialized(1, 1000).pointer
        let small = context.uninitialized(1, 400), medium = context.uninitialized(1, 600)
        #expect(small.pointer != large && medium.pointer == large)
        #expect(medium.storage.capacity >= 1000)
    }

    @Test func blocksAreAligned() {
        let context = ComputeContext()
        for count in [1, 65, 1000, 1 << 21] {
            #expect(UInt(bitPattern: context.uninitialized(1, count).pointer) % 64 == 0)
        }
    }

    @Test func severalThreadsMayAllocate() {
        let context = ComputeContext(threads: 4)
        context.pool.parallelFor(2000) { piece in
            let tensor = context.uninitialized(1, 100 + piece % 50)
            tensor.fill(Float(piece))
            precondition(tensor.elements.allSatisfy { $0 == Float(piece) }, "a block was handed out twice")
        }
        #expect(context.allocator.bytesReserved <= 16 * 160 * 4)
    }

    @Test func zerosAreZero() {
        for threads in 1...2 {
            let context = ComputeContext(threads: threads)
            for count in [0, 1, 1000, 1 << 19] {
                context.uninitialized(1, count).fill(.nan)
                #expect(context.zeros(1, count).elements.allSatisfy { $0 == 0 })
            }
        }
    }
}
