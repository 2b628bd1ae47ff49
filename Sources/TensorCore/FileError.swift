import Foundation

/// The operating system refused to read or write a file.
public struct FileError: Error, Equatable, Sendable, CustomStringConvertible {
    public let path: String
    /// What was tried, such as "creating", and why it failed.
    public let reason: String

    public init(path: String, reason: String) {
        self.path = path
        self.reason = reason
    }

    /// With the C library's last error; to be made at once, before any other call changes it.
    public init(path: String, while operation: String) {
        let cause = String(cString: strerror(errno))
        self.init(path: path, reason: "\(operation) failed: \(cause)")
    }

    public var description: String { "\(path): \(reason)" }
}
