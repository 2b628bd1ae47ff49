/// Memory for one rank's contribution to an operation under way. A rank that fails in between may free its own buffer
/// while others still combine what it contributed; this copy lives as long as anyone needs it.
final class StagingBuffer {
    let bytes: UnsafeMutableRawPointer
    let count: Int

    init(copying source: UnsafeMutableRawBufferPointer) {
        count = source.count
        bytes = .allocate(byteCount: max(count, 1), alignment: 64)
        if let base = source.baseAddress { bytes.copyMemory(from: base, byteCount: count) }
    }

    deinit { bytes.deallocate() }
}
