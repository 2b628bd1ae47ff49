import Synchronization

/// Memory for tensors: an arena, in which a request takes the lowest place that is free.
///
/// Batches are ragged, and their sizes differ from step to step. Blocks of fixed sizes would be waste, and the sum of what each
/// size ever needed; here what is freed joins its neighbours, and the arena stays as large as the tensors were at any one
/// time, but for a few hundredths. A training step that is warm asks nothing of the system.
public final class TensorAllocator: Sendable {
    private struct State {
        var free = FreeRanges()
        /// The end of the highest place that was ever used.
        var end = 0
        var inUse = 0
        var peakInUse = 0
        var addresses = AddressRange()

        mutating func take(_ lines: Int) -> Int {
            inUse += lines
            peakInUse = max(peakInUse, inUse)
            if let place = free.take(lines) { return place }
            let place = free.takeLast(endingAt: end) ?? end
            end = place + lines
            addresses.extend(to: end * TensorAllocator.line)
            return place
        }
    }

    /// Places are counted in cache lines: 64 bytes.
    private static let line = 64
    private static let floatsPerLine = line / MemoryLayout<Float>.stride

    private let state = Mutex(State())

    public init() {}

    deinit { state.withLock { $0.addresses.release() } }

    /// Bytes from the arena's start to the end of the highest place that was ever used.
    public var bytesReserved: Int { state.withLock { $0.end * Self.line } }
    /// The most bytes that were in tensors at any one time.
    public var peakBytesInUse: Int { state.withLock { $0.peakInUse * Self.line } }

    func allocate(_ count: Int) -> TensorStorage {
        let lines = max(1, (count + Self.floatsPerLine - 1) / Self.floatsPerLine)
        let (place, start) = state.withLock { ($0.take(lines), UInt(bitPattern: $0.addresses.start)) }
        guard let pointer = UnsafeMutableRawPointer(bitPattern: start + UInt(place * Self.line)) else {
            preconditionFailure("an arena does not begin at 0")
        }
        let floats = lines * Self.floatsPerLine
        return TensorStorage(
            pointer: pointer.bindMemory(to: Float.self, capacity: floats), capacity: floats, place: place..<place + lines,
            allocator: self)
    }

    func recycle(_ place: Range<Int>) {
        state.withLock { state in
            state.inUse -= place.count
            state.free.add(place)
        }
    }
}
