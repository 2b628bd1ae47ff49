import Foundation

/// - Throws: `CommandFailure` for an empty path, which would mean the root folder, or what is in it.
func requirePath(_ path: String, of argument: String, names kind: String = "a folder") throws {
    guard !path.isEmpty else { throw CommandFailure(.usage, "\(argument) must name \(kind), but is empty") }
}

/// - Throws: `CommandFailure` for a folder that is there already, which the command is to make.
func requireNew(_ out: String) throws {
    guard !FileManager.default.fileExists(atPath: out) else {
        throw CommandFailure(.usage, "--out \(out): must be a new folder, but exists; name another, or remove it")
    }
}
