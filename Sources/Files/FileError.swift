import Foundation

/// The operating system refused to read or write a file.
public struct FileError: Error, Equatable, Sendable, CustomStringConvertible {
    public let path: String
    /// What was tried, such as "creating", and why it failed.
    public let reason: String
    /// The C library's number of the error; nil where the system refused nothing, but a file is not what it must be.
    public let code: Int32?

    public init(path: String, reason: String, code: Int32? = nil) {
        self.path = path
        self.reason = reason
        self.code = code
    }

    /// An error with the C library's last one; to be made at once, before any other call changes that.
    public init(path: String, while operation: String) {
        let code = errno
        self.init(path: path, reason: "\(operation) failed: \(String(cString: strerror(code)))", code: code)
    }

    public var description: String { "\(path): \(reason)" }
}
