/// A block of floats that goes back to its allocator when the last tensor on it is gone.
///
/// The pointer is a `let`: kernels resolve it once an operation and then see plain memory.
public final class TensorStorage: @unchecked Sendable {
    public let pointer: UnsafeMutablePointer<Float>
    /// Floats in the block, at least as many as were asked for.
    public let capacity: Int
    private let place: Range<Int>
    private let allocator: TensorAllocator

    /// `place` is where the block lies in the allocator's arena.
    init(pointer: UnsafeMutablePointer<Float>, capacity: Int, place: Range<Int>, allocator: TensorAllocator) {
        self.pointer = pointer
        self.capacity = capacity
        self.place = place
        self.allocator = allocator
    }

    deinit { allocator.recycle(place) }
}
