import Foundation

/// Folders of the file system.
public enum Folder {
    /// Creates a folder and those it lies in; one that exists already is left as it is.
    ///
    /// - Throws: `FileError` naming the first folder that the system refuses, and why.
    public static func create(_ path: String) throws {
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) {
            guard isFolder.boolValue else {
                throw FileError(path: path, reason: "must be a folder, but is a file; name another, or move the file away")
            }
            return
        }
        let parent = path.parentFolder
        if !parent.isEmpty, parent != path { try create(parent) }
        // Another process may have made it in between.
        guard mkdir(path, 0o777) == 0 || errno == EEXIST else { throw FileError(path: path, while: "creating the folder") }
    }

    /// Creates a folder that is empty: what was in it is removed.
    ///
    /// - Throws: `FileError`.
    public static func createEmpty(_ path: String) throws {
        if FileManager.default.fileExists(atPath: path) {
            do { try FileManager.default.removeItem(atPath: path) } catch {
                throw FileError(path: path, reason: "removing failed: \(error.localizedDescription)")
            }
        }
        try create(path)
    }

    /// The name, beside `path`, of what is to become it when it is whole: each process has its own, for others may be writing the
    /// same.
    public static func partial(_ path: String) -> String { "\(path).\(getpid()).partial" }

    /// Puts the names that a folder holds on disk, as they are now.
    ///
    /// - Throws: `FileError`.
    public static func sync(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError(path: path, while: "opening") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw FileError(path: path, while: "writing") }
    }

    /// Gives a file or folder another name, in place of what bears it already where that is a file.
    ///
    /// - Throws: `FileError`.
    public static func rename(_ path: String, to other: String) throws {
        guard Foundation.rename(path, other) == 0 else { throw FileError(path: other, while: "renaming \(path)") }
    }
}
