import Foundation

/// A regular file opened for reading at any place.
public final class FileReader: Sendable {
    public let path: String
    /// Bytes, when it was opened.
    public let size: Int
    private let descriptor: Int32

    /// - Throws: `FileError`, as do all reads.
    public init(path: String) throws {
        self.path = path
        (descriptor, size) = try Self.open(path)
    }

    deinit { close(descriptor) }

    /// A regular file, which the caller closes, and its bytes.
    static func open(_ path: String) throws -> (descriptor: Int32, size: Int) {
        // Opening a pipe would otherwise wait for its writer.
        let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw FileError(path: path, while: "opening") }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let error = FileError(path: path, while: "examining")
            close(descriptor)
            throw error
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw FileError(path: path, reason: "must be a regular file, but is a folder, a device or a pipe")
        }
        return (descriptor, Int(status.st_size))
    }

    /// Fills `destination` with the bytes from `offset` on. A file that ends before is an error.
    public func read(at offset: Int, into destination: UnsafeMutableRawBufferPointer) throws {
        var done = 0
        while done < destination.count {
            let count = pread(descriptor, destination.baseAddress! + done, destination.count - done, off_t(offset + done))
            if count > 0 {
                done += count
            } else if count == 0 {
                throw FileError(path: path, reason: "reading failed: the file ends at byte \(offset + done)")
            } else if errno != EINTR {
                throw FileError(path: path, while: "reading")
            }
        }
    }

    /// The whole content.
    public func contents() throws -> Data {
        var data = Data(count: size)
        try data.withUnsafeMutableBytes { try read(at: 0, into: $0) }
        return data
    }
}
