import CZstd

/// The content of a Zstandard file: of all its frames, one after another.
final class ZstandardBytes: ByteSource {
    private let name: String
    private var input: CompressedInput
    private let stream: OpaquePointer
    /// Whether a frame has begun and not ended.
    private var isInside = true

    init(_ source: any ByteSource, name: String) throws {
        guard let stream = ZSTD_createDStream() else {
            throw DataError(.inputOutput, "\(name): Zstandard must start, but there is no memory for it")
        }
        self.name = name
        self.stream = stream
        input = CompressedInput(source)
    }

    deinit {
        ZSTD_freeDStream(stream)
        input.release()
    }

    var isReady: Bool { true }

    func read(into destination: UnsafeMutableRawBufferPointer) throws -> Int {
        var output = ZSTD_outBuffer(dst: destination.baseAddress, size: destination.count, pos: 0)
        while output.pos == 0 {
            let isFed = try input.fill()
            if !isInside, !isFed { return 0 }
            // Also without input: Zstandard may hold content that had no room before.
            var waiting = ZSTD_inBuffer(src: input.waiting.baseAddress, size: input.waiting.count, pos: 0)
            let status = ZSTD_decompressStream(stream, &output, &waiting)
            guard ZSTD_isError(status) == 0 else { throw damage(String(cString: ZSTD_getErrorName(status))) }
            input.take(waiting.pos)
            isInside = status != 0
            if isInside, !isFed, output.pos == 0 { throw damage("ends in the middle") }
        }
        return output.pos
    }

    private func damage(_ fault: String) -> DataError {
        DataError(
            .text,
            "\(name): must be Zstandard data, as its name says, but is damaged or something else (\(fault)): get it again")
    }
}
