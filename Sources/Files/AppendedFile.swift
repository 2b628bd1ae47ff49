import Foundation

/// A file that grows at its end by whole records: of one that cannot be written whole nothing stays, so that nobody reads half.
public final class AppendedFile {
    public let path: String
    private let descriptor: Int32
    /// Bytes of whole records.
    private var size: Int
    /// Puts on disk what was written. Tests put other things in its place.
    package var putOnDisk: (_ descriptor: Int32) -> Int32 = { fsync($0) }

    /// Opens a file, which is made where it is not there, to go on after its first `size` bytes; what follows them is cut off.
    ///
    /// - Throws: `FileError`.
    public init(path: String, after size: Int) throws {
        self.path = path
        self.size = size
        descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError(path: path, while: "opening") }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileError(path: path, while: "examining") }
        // A device has no length to be cut.
        guard status.st_size <= size || ftruncate(descriptor, off_t(size)) == 0 else {
            throw FileError(path: path, while: "shortening")
        }
    }

    // Also runs where `init` throws: by then all properties are set.
    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Writes a record, or several, at the end.
    ///
    /// - Returns: Why they could not be written, and the file is as it was before; nil if they were.
    public func append(_ records: some ContiguousBytes) -> FileError? {
        records.withUnsafeBytes { bytes in
            var written = 0
            while written < bytes.count {
                let count = pwrite(descriptor, bytes.baseAddress! + written, bytes.count - written, off_t(size + written))
                if count >= 0 {
                    written += count
                } else if errno != EINTR {
                    let error = FileError(path: path, while: "writing")
                    ftruncate(descriptor, off_t(size))
                    return error
                }
            }
            size += written
            return nil
        }
    }

    /// Puts the records so far on disk, to survive the host's end.
    ///
    /// - Returns: Why it could not be done; nil if it was.
    public func sync() -> FileError? { putOnDisk(descriptor) == 0 ? nil : FileError(path: path, while: "writing") }
}
