/// What is found wrong while one configuration is read; collected, so that all of it is reported at once.
final class ConfigurationProblems {
    let root: ConfigurationNode
    private(set) var found: [ConfigurationError.Problem] = []
    private var rejected: Set<String> = []

    init(root: ConfigurationNode) { self.root = root }

    /// A value that is not of its key's type or range.
    func reject(_ path: String, _ node: ConfigurationNode, allowed: String, nearest: String? = nil) {
        let suggestion = nearest.map { "; did you mean \($0)?" } ?? ""
        report(path, at: node.origin, "must be \(allowed), but is \(node.summary)\(suggestion)")
    }

    func report(_ path: String, at origin: ConfigurationOrigin, _ text: String) {
        rejected.insert(path)
        found.append(.init(origin: origin, text: path.isEmpty ? text : "\(path) \(text)"))
    }

    /// A condition between values. It is reported where the first of `paths` that was written stands, and not at all if one of
    /// them was rejected: what it would say follows from that.
    func require(_ condition: Bool, _ paths: String..., text: @autoclosure () -> String) {
        guard !condition, !paths.contains(where: isRejected) else { return }
        let path = paths.first { root.contains($0) } ?? paths[0]
        report(paths[0], at: root.origin(at: path), text())
    }

    /// Whether a value, or something in it, was rejected.
    private func isRejected(_ path: String) -> Bool {
        rejected.contains { $0 == path || $0.hasPrefix("\(path).") || $0.hasPrefix("\(path)[") }
    }
}
