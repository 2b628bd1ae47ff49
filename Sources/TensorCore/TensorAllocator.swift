import Foundation
import Synchronization

/// Keeps freed blocks for the next request of their size class, so that a training step that is warm allocates nothing.
///
/// Batches are ragged, and their sizes differ from step to step: requests are rounded up to one of eight classes per power
/// of two, which makes most requests meet a free block of their class. The others get one that is up to twice as large. A
/// request that meets none takes new memory, and the blocks that have been free for longest are given back for it: the
/// whole stays near what was ever in use at once, instead of the sum of what each class ever needed.
public final class TensorAllocator: @unchecked Sendable {
    private struct State {
        var free = FreeBlocks()
        var bytesReserved = 0
        var bytesInUse = 0
        var peakBytesInUse = 0

        /// Takes the blocks that have been free for longest until `bytes` more keep the reserve within its limit, or until
        /// there are no more.
        mutating func surrender(for bytes: Int) -> [FreeBlocks.Block] {
            let limit = TensorAllocator.reserveLimit(peakBytesInUse: max(peakBytesInUse, bytesInUse + bytes))
            var surrendered: [FreeBlocks.Block] = []
            while bytesReserved + bytes > limit, let block = free.takeLongestFree() {
                surrendered.append(block)
                bytesReserved -= block.capacity * MemoryLayout<Float>.stride
            }
            return surrendered
        }
    }

    private let state = Mutex(State())

    public init() {}

    deinit {
        state.withLock { state in
            while let block = state.free.takeLongestFree() { Self.release(block.address, capacity: block.capacity) }
        }
    }

    /// Bytes obtained from the system and not given back.
    public var bytesReserved: Int { state.withLock { $0.bytesReserved } }
    /// The most bytes that were in tensors at any one time.
    public var peakBytesInUse: Int { state.withLock { $0.peakBytesInUse } }

    /// A little above what was ever in use: with less, warm steps would give back what the next one needs.
    static func reserveLimit(peakBytesInUse: Int) -> Int { peakBytesInUse + max(peakBytesInUse / 32, 1 << 20) }

    /// Floats actually reserved for a request of `count`: the smallest size class that holds them.
    static func sizeClass(_ count: Int) -> Int {
        guard count > 64 else { return 64 }
        let step = 1 << max(0, (Int.bitWidth - 1 - (count - 1).leadingZeroBitCount) - 3)
        return (count + step - 1) / step * step
    }

    func allocate(_ count: Int) -> TensorStorage {
        let needed = Self.sizeClass(count)
        let (recycled, capacity, surrendered) = state.withLock { state in
            let block = state.free.take(needed), capacity = block?.capacity ?? needed
            let bytes = capacity * MemoryLayout<Float>.stride
            let surrendered = block == nil ? state.surrender(for: bytes) : []
            if block == nil { state.bytesReserved += bytes }
            state.bytesInUse += bytes
            state.peakBytesInUse = max(state.peakBytesInUse, state.bytesInUse)
            return (block?.address, capacity, surrendered)
        }
        for block in surrendered { Self.release(block.address, capacity: block.capacity) }
        let pointer = recycled.flatMap { UnsafeMutablePointer<Float>(bitPattern: $0) } ?? Self.reserve(capacity)
        return TensorStorage(pointer: pointer, capacity: capacity, allocator: self)
    }

    func recycle(_ pointer: UnsafeMutablePointer<Float>, capacity: Int) {
        let address = UInt(bitPattern: pointer)
        state.withLock { state in
            state.bytesInUse -= capacity * MemoryLayout<Float>.stride
            state.free.add(address, capacity: capacity)
        }
    }

    private static let hugePage = 2 << 20

    /// Blocks of this size and more are mapped, each by itself: what is given back leaves the process, where a heap would keep
    /// the holes between blocks.
    private static let smallestMapping = 128 << 10

    private static func reserve(_ capacity: Int) -> UnsafeMutablePointer<Float> {
        let bytes = capacity * MemoryLayout<Float>.stride
        var raw: UnsafeMutableRawPointer?
        if bytes >= smallestMapping { raw = map(bytes) } else { posix_memalign(&raw, 64, bytes) }
        guard let raw else { fatalError("out of memory: \(bytes) bytes were asked for") }
        return raw.bindMemory(to: Float.self, capacity: capacity)
    }

    private static func release(_ address: UInt, capacity: Int) {
        let bytes = capacity * MemoryLayout<Float>.stride, pointer = UnsafeMutableRawPointer(bitPattern: address)
        if bytes >= smallestMapping { munmap(pointer, bytes) } else { free(pointer) }
    }

    /// Large blocks are aligned to, and asked to be on, large pages: a GEMM over small ones spends its time in TLB misses.
    private static func map(_ bytes: Int) -> UnsafeMutableRawPointer? {
        let isLarge = bytes >= 2 * hugePage, slack = isLarge ? hugePage : 0
        guard let start = mmap(nil, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
              start != MAP_FAILED
        else { return nil }
        guard isLarge else { return start }
        // What lies before the boundary and after the block goes back at once; both ends are on pages.
        let before = -Int(bitPattern: start) & (hugePage - 1), aligned = start + before
        let end = (bytes + pageSize - 1) / pageSize * pageSize
        if before > 0 { munmap(start, before) }
        if slack > before { munmap(aligned + end, slack - before) }
        madvise(aligned, bytes, MADV_HUGEPAGE)
        return aligned
    }

    private static let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))
}
