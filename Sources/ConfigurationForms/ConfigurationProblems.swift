/// What is found wrong while one configuration is read; collected, so that all of it is reported at once.
public final class ConfigurationProblems {
    /// The whole configuration, as it was written.
    public let root: ConfigurationNode
    /// Problems in the order in which they were found.
    public private(set) var found: [ConfigurationError.Problem] = []
    private var rejected: Set<String> = []
    /// The full paths of all keys that there are: a key in the wrong section may be one of them.
    private let keys: () -> [String]

    /// `keys` are the full paths of all keys of the configuration's form; they are asked for when one is written that is none.
    public init(root: ConfigurationNode, keys: @escaping () -> [String] = { [] }) {
        self.root = root
        self.keys = keys
    }

    /// For another way to read a part of the same configuration, whose problems may come to nothing.
    func attempt() -> ConfigurationProblems { ConfigurationProblems(root: root, keys: keys) }

    /// Reports a value that is not of its key's type or range. `allowed` stands after "must be".
    public func reject(_ path: String, _ node: ConfigurationNode, allowed: String, nearest: String? = nil) {
        let suggestion = nearest.map { "; did you mean \($0)?" } ?? ""
        report(path, at: node.origin, "must be \(allowed), but is \(node.summary)\(suggestion)")
    }

    /// Reports a problem of the value at a path, as `text` says after the path.
    public func report(_ path: String, at origin: ConfigurationOrigin, _ text: String) {
        rejected.insert(path)
        found.append(.init(origin: origin, text: path.isEmpty ? text : "\(path) \(text)"))
    }

    /// Reports `text` unless a condition between values holds. It is reported of the first of `paths`, where the first of them
    /// that was written stands, and not at all if one of them was rejected: what it would say follows from that.
    public func require(_ condition: Bool, _ paths: String..., text: @autoclosure () -> String) {
        guard !condition, !paths.contains(where: isRejected) else { return }
        let path = paths.first { root.contains($0) } ?? paths[0]
        report(paths[0], at: root.origin(at: path), text())
    }

    /// Reports an entry of the section at a path whose keys are `names`, which is none of them.
    func reportUnknownKey(_ entry: ConfigurationNode.Entry, path: String, names: [String]) {
        let elsewhere = keys().first { $0.hasSuffix(".\(entry.key)") }
        let nearest = nearestName(to: entry.key, among: names).map { joined(path, $0) } ?? elsewhere
        let suggestion = nearest.map { "; did you mean \($0)?" } ?? "."
        let section = path.isEmpty ? "a configuration" : path
        let shown = entry.key.count > 60 ? entry.key.prefix(60) + "…" : entry.key[...]
        report(
            joined(path, String(shown)), at: entry.node.origin,
            "is not a key\(suggestion) Keys of \(section): \(names.joined(separator: ", "))")
    }

    /// Whether a value, or something in it, was rejected.
    private func isRejected(_ path: String) -> Bool {
        rejected.contains { $0 == path || $0.hasPrefix("\(path).") || $0.hasPrefix("\(path)[") }
    }
}
