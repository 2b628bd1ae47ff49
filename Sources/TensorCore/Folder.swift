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
        let parent = (path as NSString).deletingLastPathComponent
        if !parent.isEmpty, parent != path { try create(parent) }
        // Another process may have made it in between.
        guard mkdir(path, 0o777) == 0 || errno == EEXIST else { throw FileError(path: path, while: "creating the folder") }
    }
}
