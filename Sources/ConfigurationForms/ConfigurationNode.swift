/// A value of a configuration as it was written, before it has a type, with the place where it was written.
public struct ConfigurationNode: Equatable {
    public struct Entry: Equatable {
        public var key: String
        /// Its origin is the key's line.
        public var node: ConfigurationNode

        public init(key: String, node: ConfigurationNode) {
            self.key = key
            self.node = node
        }
    }

    public enum Content: Equatable {
        /// A scalar's text. Only one without quotes can be a number, or empty.
        case scalar(String, quoted: Bool)
        case list([ConfigurationNode])
        /// Keys and values in the order of the file, keys unique.
        case map([Entry])
    }

    public var content: Content
    public var origin: ConfigurationOrigin

    public init(content: Content, origin: ConfigurationOrigin) {
        self.content = content
        self.origin = origin
    }

    /// A value that was not read from anywhere.
    public init(written content: Content) {
        self.init(content: content, origin: ConfigurationOrigin(source: "", line: nil))
    }

    /// Whether the key has no value, or `null` or `~`.
    public var isEmpty: Bool {
        guard case .scalar(let text, quoted: false) = content else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }

    /// The text of a scalar that is not empty, quoted or not.
    public var text: String? {
        guard case .scalar(let text, _) = content, !isEmpty else { return nil }
        return text
    }

    /// The text of a scalar written without quotes.
    public var plainText: String? {
        guard case .scalar(let text, quoted: false) = content, !isEmpty else { return nil }
        return text
    }

    /// The value as error texts show it.
    public var summary: String {
        switch content {
        case .scalar where isEmpty: return "empty"
        case .scalar(let text, let quoted):
            let shown = text.count > 60 ? text.prefix(60) + "…" : text[...]
            let oneLine = shown.map { $0.isNewline ? " " : String($0) }.joined()
            return quoted ? "the text \"\(oneLine)\"" : oneLine
        case .list(let items): return items.isEmpty ? "an empty list" : "a list of \(items.count)"
        case .map(let entries):
            return entries.isEmpty ? "an empty map" : "a map of \(entries.count) \(entries.count == 1 ? "key" : "keys")"
        }
    }

    /// The value under a key of a map; nil if this is no map, or has no such key.
    public subscript(key: String) -> ConfigurationNode? {
        guard case .map(let entries) = content else { return nil }
        return entries.first { $0.key == key }?.node
    }

    /// This value under `other`: of two maps, key by key; otherwise `other` replaces it. Origins stay with the values, so that an
    /// error names the file that it comes from.
    public func overridden(by other: ConfigurationNode) -> ConfigurationNode {
        guard case .map(var entries) = content, case .map(let overriding) = other.content else { return other }
        for entry in overriding {
            if let index = entries.firstIndex(where: { $0.key == entry.key }) {
                entries[index].node = entries[index].node.overridden(by: entry.node)
            } else {
                entries.append(entry)
            }
        }
        return ConfigurationNode(content: .map(entries), origin: other.origin)
    }

    /// The origin of the value at a path of keys, or of the last map on the way to it that was written.
    public func origin(at path: String) -> ConfigurationOrigin {
        var node = self
        for key in path.split(separator: ".") {
            guard let next = node[String(key)] else { break }
            node = next
        }
        return node.origin
    }

    /// Whether something is written at a path of keys.
    public func contains(_ path: String) -> Bool {
        var node = self
        for key in path.split(separator: ".") {
            guard let next = node[String(key)] else { return false }
            node = next
        }
        return true
    }
}
