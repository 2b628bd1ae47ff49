import Foundation

extension Folder {
    /// The names in a folder, in no order.
    ///
    /// - Throws: `FileError`, whose code tells a folder that is not there from one that cannot be read.
    public static func names(_ path: String) throws -> [String] {
        guard let folder = opendir(path) else { throw FileError(path: path, while: "listing") }
        defer { closedir(folder) }
        var names: [String] = []
        while true {
            // The end and an error look alike but for errno.
            errno = 0
            guard let entry = readdir(folder) else { break }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        guard errno == 0 else { throw FileError(path: path, while: "listing") }
        return names
    }
}
