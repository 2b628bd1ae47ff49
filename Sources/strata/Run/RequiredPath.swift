/// - Throws: `CommandFailure` for an empty path, which would mean the root folder, or what is in it.
func requirePath(_ path: String, of argument: String, names kind: String = "a folder") throws {
    guard !path.isEmpty else { throw CommandFailure(.usage, "\(argument) must name \(kind), but is empty") }
}
