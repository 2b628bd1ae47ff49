import CZlib

/// The content of a gzip file: of all its members, one after another.
final class GzipBytes: ByteSource {
    private let name: String
    private var input: CompressedInput
    private var stream = z_stream()
    /// Whether a member has begun and not ended.
    private var isInside = true

    init(_ source: any ByteSource, name: String) throws {
        self.name = name
        input = CompressedInput(source)
        // 15 bits of window, and 16 for the gzip format.
        let status = inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else { throw DataError(.inputOutput, "\(name): zlib must start, but fails with \(status)") }
    }

    deinit {
        inflateEnd(&stream)
        input.release()
    }

    var isReady: Bool { true }

    func read(into destination: UnsafeMutableRawBufferPointer) throws -> Int {
        let room = destination.prefix(Int(UInt32.max))
        stream.next_out = destination.baseAddress!.assumingMemoryBound(to: UInt8.self)
        stream.avail_out = UInt32(room.count)
        while stream.avail_out == UInt32(room.count) {
            let isFed = try input.fill()
            if !isInside {
                if !isFed { return 0 }
                inflateReset(&stream)
                isInside = true
            }
            // Also without input: zlib may hold content that had no room before.
            let waiting = input.waiting
            stream.next_in = waiting.baseAddress!.assumingMemoryBound(to: UInt8.self)
            stream.avail_in = UInt32(waiting.count)
            let status = inflate(&stream, Z_NO_FLUSH)
            input.take(waiting.count - Int(stream.avail_in))
            switch status {
            case Z_STREAM_END: isInside = false
            case Z_OK, Z_BUF_ERROR:
                if !isFed, stream.avail_out == UInt32(room.count) { throw damage("ends in the middle") }
            default: throw damage(stream.msg.map { String(cString: $0) } ?? "zlib fails with \(status)")
            }
        }
        return room.count - Int(stream.avail_out)
    }

    private func damage(_ fault: String) -> DataError {
        DataError(
            .text, "\(name): must be gzip data, as its name says, but is damaged or something else (\(fault)): get it again")
    }
}
