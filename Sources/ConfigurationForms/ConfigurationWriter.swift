/// Writes values as YAML.
public enum ConfigurationWriter {
    /// A block of `key: value` lines, maps indented below their key.
    public static func yaml(_ entries: [ConfigurationNode.Entry], indentation: Int = 0) -> String {
        let margin = String(repeating: " ", count: indentation)
        return entries.map { entry in
            if case .map(let inner) = entry.node.content, !inner.isEmpty {
                return "\(margin)\(name(entry.key)):\n" + yaml(inner, indentation: indentation + 2)
            }
            return "\(margin)\(name(entry.key)): \(inline(entry.node))\n"
        }.joined()
    }

    /// Every value that is no map with its full path, in order.
    public static func values(_ entries: [ConfigurationNode.Entry], under path: String) -> [(path: String, value: String)] {
        entries.flatMap { entry in
            let entryPath = path.isEmpty ? entry.key : "\(path).\(entry.key)"
            if case .map(let inner) = entry.node.content { return values(inner, under: entryPath) }
            return [(entryPath, inline(entry.node))]
        }
    }

    private static func name(_ key: String) -> String { ScalarText.isPlain(key) ? key : ScalarText.quoted(key) }

    private static func inline(_ node: ConfigurationNode) -> String {
        switch node.content {
        case .scalar(let text, let quoted): return quoted ? ScalarText.quoted(text) : text
        case .list(let items): return "[" + items.map(inline).joined(separator: ", ") + "]"
        case .map(let entries): return "{" + entries.map { "\(name($0.key)): \(inline($0.node))" }.joined(separator: ", ") + "}"
        }
    }
}
