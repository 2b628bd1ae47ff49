import Foundation

/// Files that are written as a whole.
extension FileWriter {
    /// Writes a new file of this content, and puts it on disk.
    ///
    /// - Throws: `FileError`.
    @discardableResult
    public static func write(_ content: Data, to path: String) throws -> FileRecord {
        let writer = try FileWriter(path: path)
        try content.withUnsafeBytes { try writer.write($0) }
        return try writer.finish()
    }

    /// As above.
    @discardableResult
    public static func write(_ text: String, to path: String) throws -> FileRecord { try write(Data(text.utf8), to: path) }

    /// Writes a file under a temporary name that a rename makes `path`: whoever reads it finds all of it, or what was there
    /// before.
    ///
    /// - Throws: `FileError` naming `path`; then nothing is left of the attempt.
    public static func replace(_ path: String, with content: Data) throws {
        var status = stat()
        // A rename would put a file in the place of a device as well.
        if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
            throw FileError(path: path, reason: "must be a file, but is a folder, a device or a pipe; name another")
        }
        let partial = Folder.partial(path)
        do {
            try write(content, to: partial)
            try Folder.rename(partial, to: path)
        } catch let error as FileError {
            unlink(partial)
            throw FileError(path: path, reason: error.reason)
        }
    }

    public static func replace(_ path: String, with text: String) throws { try replace(path, with: Data(text.utf8)) }
}
