import Synchronization

/// Memory for one rank's contribution to an operation under way. A rank that fails in between may free its own buffer
/// while others still combine what it contributed; this copy lives as long as anyone needs it.
final class StagingBuffer {
    let bytes: UnsafeMutableRawPointer
    private let count: Int
    private let pool: StagingPool

    init(copying source: UnsafeMutableRawBufferPointer, from pool: StagingPool) {
        self.pool = pool
        count = source.count
        bytes = pool.take(count)
        if let base = source.baseAddress { bytes.copyMemory(from: base, byteCount: count) }
    }

    /// One after another. Sizes vary: memory is taken in powers of two, to be of use again.
    init(copying sources: [UnsafeRawBufferPointer], from pool: StagingPool) {
        self.pool = pool
        let total = sources.reduce(0) { $0 + $1.count }
        count = 1 << (Int.bitWidth - max(total - 1, 0).leadingZeroBitCount)
        bytes = pool.take(count)
        var place = bytes
        for source in sources where source.count > 0 {
            place.copyMemory(from: source.baseAddress!, byteCount: source.count)
            place += source.count
        }
    }

    deinit { pool.give(bytes, count) }
}

/// Staging memory between uses. Gradient buckets come in the same sizes update after update, and memory that is fresh from
/// the system costs a page fault every 4 KiB: a reduction of 32 MiB took three times as long.
package final class StagingPool: @unchecked Sendable {
    private let lock = Mutex(())
    /// Free buffers by size; guarded by the lock.
    private var free: [Int: [UnsafeMutableRawPointer]] = [:]

    package init() {}

    deinit {
        for bytes in free.values.joined() { bytes.deallocate() }
    }

    package func take(_ count: Int) -> UnsafeMutableRawPointer {
        lock.withLock { _ in free[count]?.popLast() } ?? .allocate(byteCount: max(count, 1), alignment: 64)
    }

    package func give(_ bytes: UnsafeMutableRawPointer, _ count: Int) {
        lock.withLock { _ in free[count, default: []].append(bytes) }
    }
}
