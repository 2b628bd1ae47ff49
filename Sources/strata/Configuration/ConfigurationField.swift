/// One key of a section: the property it sets, and the form its value is written in. The one table of a section's fields reads
/// it, writes it, names its keys in errors and compares two of it.
struct ConfigurationField<Root> {
    let key: String
    let isRequired: Bool
    let allowed: String
    let keys: (_ path: String) -> [String]
    let read: (_ node: ConfigurationNode, _ path: String, _ root: inout Root, _ problems: ConfigurationProblems) -> Void
    let write: (Root) -> ConfigurationNode.Content?

    /// `isWritten` says for which configurations the key has a meaning, and so is written.
    init<Value>(
        _ key: String, _ property: WritableKeyPath<Root, Value>, _ form: ConfigurationForm<Value>, isRequired: Bool = false,
        isWritten: @escaping (Root) -> Bool = { _ in true }
    ) {
        self.key = key
        self.isRequired = isRequired
        allowed = form.allowed
        keys = form.keys
        read = { node, path, root, problems in
            if let value = form.read(node, path, problems) { root[keyPath: property] = value }
        }
        write = { isWritten($0) ? form.write($0[keyPath: property]) : nil }
    }

    /// A key that is read before the others and never written: what it stands for is written out.
    init(readOnly key: String, allowed: String) {
        self.key = key
        isRequired = false
        self.allowed = allowed
        keys = { _ in [] }
        read = { _, _, _, _ in }
        write = { _ in nil }
    }
}

extension ConfigurationForm {
    /// A map of the given fields, over an initial value; keys left out keep it.
    static func section(_ fields: [ConfigurationField<Value>], over initial: Value) -> Self {
        section(fields) { _, _, _ in initial }
    }

    /// As above, with an initial value that depends on what is written.
    static func section(
        _ fields: [ConfigurationField<Value>],
        over initial: @escaping (ConfigurationNode, _ path: String, ConfigurationProblems) -> Value
    ) -> Self {
        let names = fields.map(\.key)
        let allowed = "a map of the keys \(names.joined(separator: ", "))"
        return Self(
            allowed: allowed,
            keys: { path in fields.flatMap { [joined(path, $0.key)] + $0.keys(joined(path, $0.key)) } },
            read: { node, path, problems in
                var entries: [ConfigurationNode.Entry] = []
                if case .map(let written) = node.content {
                    entries = written
                } else if !node.isEmpty {
                    problems.reject(path, node, allowed: allowed)
                    return nil
                }
                var root = initial(node, path, problems)
                for entry in entries {
                    let entryPath = joined(path, entry.key)
                    if let field = fields.first(where: { $0.key == entry.key }) {
                        field.read(entry.node, entryPath, &root, problems)
                    } else {
                        reportUnknownKey(entry, path: path, names: names, problems)
                    }
                }
                for field in fields where field.isRequired && node[field.key] == nil {
                    problems.report(joined(path, field.key), at: node.origin, "is required: \(field.allowed)")
                }
                return root
            },
            write: { root in
                .map(
                    fields.compactMap { field in
                        field.write(root).map { .init(key: field.key, node: ConfigurationNode(written: $0)) }
                    })
            })
    }

    private static func reportUnknownKey(
        _ entry: ConfigurationNode.Entry, path: String, names: [String], _ problems: ConfigurationProblems
    ) {
        let elsewhere = RunConfiguration.form.keys("").first { $0.hasSuffix(".\(entry.key)") }
        let nearest = nearestName(to: entry.key, among: names).map { joined(path, $0) } ?? elsewhere
        let suggestion = nearest.map { "; did you mean \($0)?" } ?? "."
        let section = path.isEmpty ? "a configuration" : path
        problems.report(
            joined(path, shortened(entry.key)), at: entry.node.origin,
            "is not a key\(suggestion) Keys of \(section): \(names.joined(separator: ", "))")
    }
}

private func joined(_ path: String, _ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

private func shortened(_ key: String) -> String { key.count > 60 ? key.prefix(60) + "…" : key }
