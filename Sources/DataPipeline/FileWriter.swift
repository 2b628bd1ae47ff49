import Foundation

/// Writes one new file through a buffer, with its size and checksum on the way.
final class FileWriter {
    let path: String
    private let descriptor: Int32
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)
    private var filled = 0
    private var size = 0
    private let checksum = Checksum()

    init(path: String) throws {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw DataError(.inputOutput, "\(path): must be writable, but creating it failed: \(lastSystemError())")
        }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        buffer.deallocate()
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while !rest.isEmpty {
            let count = min(rest.count, buffer.count - filled)
            UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]).copyMemory(
                from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
            filled += count
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            if filled == buffer.count { try flush() }
        }
    }

    func write(_ text: String) throws {
        var text = text
        try text.withUTF8 { try write(UnsafeRawBufferPointer($0)) }
    }

    /// Puts everything on disk; nothing may be written after it.
    func finish() throws -> PreparationManifest.File {
        try flush()
        guard fsync(descriptor) == 0 else { throw failure() }
        return PreparationManifest.File(
            name: (path as NSString).lastPathComponent, size: size, checksum: checksum.text)
    }

    private func flush() throws {
        var written = 0
        while written < filled {
            let count = Foundation.write(descriptor, buffer.baseAddress! + written, filled - written)
            if count >= 0 { written += count } else if errno != EINTR { throw failure() }
        }
        checksum.update(UnsafeRawBufferPointer(rebasing: buffer[..<filled]))
        size += filled
        filled = 0
    }

    private func failure() -> DataError {
        DataError(.inputOutput, "\(path): writing failed: \(lastSystemError())")
    }
}
