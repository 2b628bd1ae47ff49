import Foundation
import Synchronization

/// Keeps freed blocks for the next request of their size class, so that a training step that is warm allocates nothing.
///
/// Batches are ragged, and their sizes differ from step to step: requests are rounded up to one of eight classes per power
/// of two, which makes most requests meet a free block of their class. The others get one that is up to twice as large
/// before new memory is asked for: otherwise every class would come to hold what it alone ever needed at once.
public final class TensorAllocator: @unchecked Sendable {
    private struct State {
        /// Addresses of free blocks by capacity.
        var free: [Int: [UInt]] = [:]
        var bytesReserved = 0
        var bytesInUse = 0
        var peakBytesInUse = 0

        /// The smallest free block of `needed` to twice as many floats, and its capacity.
        mutating func takeFree(_ needed: Int) -> (block: UInt?, capacity: Int)? {
            var capacity = needed
            while capacity <= 2 * needed {
                if let block = free[capacity]?.popLast() { return (block, capacity) }
                capacity = TensorAllocator.sizeClass(capacity + 1)
            }
            return nil
        }
    }

    private let state = Mutex(State())

    public init() {}

    deinit {
        state.withLock { state in
            for blocks in state.free.values {
                for block in blocks { Foundation.free(UnsafeMutableRawPointer(bitPattern: block)) }
            }
        }
    }

    /// Bytes obtained from the system and not given back.
    public var bytesReserved: Int { state.withLock { $0.bytesReserved } }
    /// The most bytes that were in tensors at any one time.
    public var peakBytesInUse: Int { state.withLock { $0.peakBytesInUse } }

    /// Floats actually reserved for a request of `count`: the smallest size class that holds them.
    static func sizeClass(_ count: Int) -> Int {
        guard count > 64 else { return 64 }
        let step = 1 << max(0, (Int.bitWidth - 1 - (count - 1).leadingZeroBitCount) - 3)
        return (count + step - 1) / step * step
    }

    func allocate(_ count: Int) -> TensorStorage {
        let needed = Self.sizeClass(count)
        let (recycled, capacity) = state.withLock { state in
            let (block, capacity) = state.takeFree(needed) ?? (nil, needed)
            let bytes = capacity * MemoryLayout<Float>.stride
            if block == nil { state.bytesReserved += bytes }
            state.bytesInUse += bytes
            state.peakBytesInUse = max(state.peakBytesInUse, state.bytesInUse)
            return (block, capacity)
        }
        let pointer = recycled.flatMap { UnsafeMutablePointer<Float>(bitPattern: $0) } ?? Self.reserve(capacity)
        return TensorStorage(pointer: pointer, capacity: capacity, allocator: self)
    }

    func recycle(_ pointer: UnsafeMutablePointer<Float>, capacity: Int) {
        let address = UInt(bitPattern: pointer)
        state.withLock { state in
            state.bytesInUse -= capacity * MemoryLayout<Float>.stride
            state.free[capacity, default: []].append(address)
        }
    }

    private static let hugePage = 2 << 20

    /// Large blocks are aligned to, and asked to be on, large pages: a GEMM over small ones spends its time in TLB misses.
    private static func reserve(_ capacity: Int) -> UnsafeMutablePointer<Float> {
        let bytes = capacity * MemoryLayout<Float>.stride
        let alignment = bytes >= 2 * hugePage ? hugePage : 64
        var raw: UnsafeMutableRawPointer?
        guard posix_memalign(&raw, alignment, bytes) == 0, let raw else {
            fatalError("out of memory: \(bytes) bytes were asked for")
        }
        if alignment == hugePage { madvise(raw, bytes, MADV_HUGEPAGE) }
        return raw.bindMemory(to: Float.self, capacity: capacity)
    }
}
