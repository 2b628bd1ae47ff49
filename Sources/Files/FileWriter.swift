import Foundation

/// A file's name, size and checksum, as manifests list them.
public struct FileRecord: Codable, Equatable, Sendable {
    public let name: String
    public let size: Int
    /// XXH3, 64 bits, 16 hexadecimal digits.
    public let checksum: String

    public init(name: String, size: Int, checksum: String) {
        self.name = name
        self.size = size
        self.checksum = checksum
    }
}

/// Writes one new file through a buffer, with its size and checksum on the way.
public final class FileWriter {
    public let path: String
    private let descriptor: Int32
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)
    private var filled = 0
    private var size = 0
    private let checksum = Checksum()

    /// - Throws: `FileError`, as do all writes.
    public init(path: String) throws {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError(path: path, while: "creating") }
    }

    // Also runs where `init` throws: by then all properties are set.
    deinit {
        if descriptor >= 0 { close(descriptor) }
        buffer.deallocate()
    }

    public func write(_ bytes: UnsafeRawBufferPointer) throws {
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

    public func write(_ text: String) throws {
        var text = text
        try text.withUTF8 { try write(UnsafeRawBufferPointer($0)) }
    }

    /// Puts everything on disk; nothing may be written after it.
    public func finish() throws -> FileRecord {
        try flush()
        guard fsync(descriptor) == 0 else { throw FileError(path: path, while: "writing") }
        return FileRecord(name: (path as NSString).lastPathComponent, size: size, checksum: checksum.text)
    }

    private func flush() throws {
        var written = 0
        while written < filled {
            let count = Foundation.write(descriptor, buffer.baseAddress! + written, filled - written)
            if count >= 0 { written += count } else if errno != EINTR { throw FileError(path: path, while: "writing") }
        }
        checksum.update(UnsafeRawBufferPointer(rebasing: buffer[..<filled]))
        size += filled
        filled = 0
    }
}
