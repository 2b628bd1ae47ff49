import Foundation

/// A block of floats that goes back to its allocator when the last tensor on it is gone.
///
/// The pointer is a `let`: kernels resolve it once an operation and then see plain memory.
public final class TensorStorage: @unchecked Sendable {
    public let pointer: UnsafeMutablePointer<Float>
    /// Floats in the block, at least as many as were asked for.
    public let capacity: Int
    private let allocator: TensorAllocator

    init(pointer: UnsafeMutablePointer<Float>, capacity: Int, allocator: TensorAllocator) {
        self.pointer = pointer
        self.capacity = capacity
        self.allocator = allocator
    }

    deinit { allocator.recycle(pointer, capacity: capacity) }
}
