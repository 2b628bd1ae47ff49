import ConfigurationForms

/// An override on the command line, `path.to.key=value`: the value is YAML, as it would stand in the file.
enum ConfigurationOverride {
    /// The maps around the value, to be merged over a file's.
    ///
    /// - Throws: `ConfigurationError` if it has no `=`, no key, or a value that is no YAML.
    static func parse(_ override: String) throws -> ConfigurationNode {
        let origin = ConfigurationOrigin(source: "--set \(override)", line: nil)
        guard let equals = override.firstIndex(of: "=") else {
            throw ConfigurationError(origin, "must be path.to.key=value, but has no =; for example --set training.updates=1000")
        }
        let keys = override[..<equals].split(separator: ".", omittingEmptySubsequences: false).map { String($0).trimmed }
        guard keys.allSatisfy({ !$0.isEmpty }) else {
            throw ConfigurationError(origin, "must be path.to.key=value, but a key of the path is empty")
        }
        guard keys.count <= ConfigurationText.deepestNesting else {
            throw ConfigurationError(origin, "must be path.to.key=value, but has \(keys.count) keys")
        }
        let text = String(override[override.index(after: equals)...])
        let parsed: ConfigurationNode?
        do { parsed = try ConfigurationText.parse(text, source: origin.source) } catch let error as ConfigurationError {
            throw ConfigurationError(error.problems.map { .init(origin: origin, text: $0.text) })
        }
        var node = parsed?.placed(at: origin) ?? ConfigurationNode(content: .scalar("", quoted: false), origin: origin)
        for key in keys.reversed() {
            node = ConfigurationNode(content: .map([.init(key: key, node: node)]), origin: origin)
        }
        return node
    }
}

extension ConfigurationNode {
    /// The same value with another origin throughout: lines of a value on the command line mean nothing.
    fileprivate func placed(at origin: ConfigurationOrigin) -> ConfigurationNode {
        switch content {
        case .scalar: return ConfigurationNode(content: content, origin: origin)
        case .list(let items): return ConfigurationNode(content: .list(items.map { $0.placed(at: origin) }), origin: origin)
        case .map(let entries):
            return ConfigurationNode(
                content: .map(entries.map { .init(key: $0.key, node: $0.node.placed(at: origin)) }), origin: origin)
        }
    }
}
