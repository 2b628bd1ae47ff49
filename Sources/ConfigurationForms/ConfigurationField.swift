/// One key of a section: the property it sets, and the form its value is written in. The one table of a section's fields reads
/// it, writes it, names its keys in errors and compares two of it.
public struct ConfigurationField<Root> {
    public let key: String
    let isRequired: Bool
    let allowed: String
    let keys: (_ path: String) -> [String]
    let read: (_ node: ConfigurationNode, _ path: String, _ root: inout Root, _ problems: ConfigurationProblems) -> Void
    let write: (Root) -> ConfigurationNode.Content?

    /// `isWritten` says for which configurations the key has a meaning, and so is written.
    public init<Value>(
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
    public init(readOnly key: String, allowed: String) {
        self.key = key
        isRequired = false
        self.allowed = allowed
        keys = { _ in [] }
        read = { _, _, _, _ in }
        write = { _ in nil }
    }

    private init(
        key: String, isRequired: Bool, allowed: String, keys: @escaping (String) -> [String],
        read: @escaping (ConfigurationNode, String, inout Root, ConfigurationProblems) -> Void,
        write: @escaping (Root) -> ConfigurationNode.Content?
    ) {
        self.key = key
        self.isRequired = isRequired
        self.allowed = allowed
        self.keys = keys
        self.read = read
        self.write = write
    }

    /// The same key of a section whose value has a `Root` within it: flat keys of parts that are types of their own.
    public func lifted<Outer>(
        get: @escaping (Outer) -> Root, set: @escaping (inout Outer, Root) -> Void
    ) -> ConfigurationField<Outer> {
        ConfigurationField<Outer>(
            key: key, isRequired: isRequired, allowed: allowed, keys: keys,
            read: { node, path, outer, problems in
                var root = get(outer)
                read(node, path, &root, problems)
                set(&outer, root)
            },
            write: { write(get($0)) })
    }
}

extension ConfigurationForm {
    /// A map of the given fields, over an initial value; keys left out keep it.
    public static func section(_ fields: [ConfigurationField<Value>], over initial: Value) -> Self {
        section(fields) { _, _, _ in initial }
    }

    /// A section whose initial value depends on what is written.
    public static func section(
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
                        problems.reportUnknownKey(entry, path: path, names: names)
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
}

/// The path of a key below a path, which is empty for the whole configuration.
func joined(_ path: String, _ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
