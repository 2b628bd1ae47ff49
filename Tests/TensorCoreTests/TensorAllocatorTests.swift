@testable import TensorCore
import Testing
import _TestSupport

@Suite struct TensorAllocatorTests {
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
            let x = context.uninitialized(tokens, 64), y = context.uninitialized(tokens, 256),
                z = context.uninitialized(tokens, 64)
            for tensor in [x, y, z] { tensor.pointer[tensor.count - 1] = 1 }
        }
        #expect(context.allocator.peakBytesInUse <= 3600 * 384 * 4)
        #expect(context.allocator.bytesReserved == context.allocator.peakBytesInUse)
    }

    /// Experts receive now half, now twice their share: the sizes of many steps must not add up.
    @Test func memoryIsBoundedOverWildSizes() {
        let context = ComputeContext(), key = RandomKey(seed: 1)
        var live: [Tensor] = []
        for draw in 0..<10_000 {
            let tensor = context.uninitialized(1, 20_000 + Int(180_000 * key.uniform(2 * draw)))
            tensor.pointer[tensor.count - 1] = 1
            // In no order that a stack would have.
            if live.count < 40 { live.append(tensor) } else { live[Int(key.uniform(2 * draw + 1) * 40)] = tensor }
        }
        #expect(context.allocator.bytesReserved < context.allocator.peakBytesInUse * 5 / 4)
    }

    /// The freed block is too small and lies at the arena's end: what it lacks is all that is added.
    @Test func theLastBlockMakesRoomForALargerOne() {
        let context = ComputeContext(), live = context.uninitialized(1, 2_000_000)
        defer { withExtendedLifetime(live) {} }
        withExtendedLifetime(context.uninitialized(1, 1_000_000)) {}
        withExtendedLifetime(context.uninitialized(1, 1_100_000)) {}
        #expect(context.allocator.bytesReserved == 3_100_000 * 4)
    }

    /// More than what becomes usable at a time.
    @Test func aLargeTensorIsUsableToItsEnds() {
        let context = ComputeContext(), tensor = context.uninitialized(50, 1 << 20)
        for row in 0..<50 { (tensor[row, 0], tensor[row, tensor.columns - 1]) = (Float(row), Float(row)) }
        #expect((0..<50).allSatisfy { tensor[$0, 0] == Float($0) && tensor[$0, tensor.columns - 1] == Float($0) })
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
