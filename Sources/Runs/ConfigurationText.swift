import ConfigurationForms
import Yams

/// YAML text made into nodes: syntax, duplicate keys and size are checked, names and types are not yet.
enum ConfigurationText {
    /// More than any configuration needs; aliases count with everything they stand for, so that a few lines of nested ones
    /// cannot grow without bound.
    static let mostValues = 20_000
    static let deepestNesting = 64

    /// Parses one document. Nil if it holds nothing but comments.
    ///
    /// - Throws: `ConfigurationError`, naming `source` and the line.
    static func parse(_ text: String, source: String) throws -> ConfigurationNode? {
        let text = text.hasPrefix("\u{FEFF}") ? String(text.dropFirst()) : text
        // Keys are hashed while the document is read, and hashing an alias walks all that it stands for. A first pass
        // that sees names in place of aliases makes sure that every key is plain text.
        if text.utf8.contains(UInt8(ascii: "*")) {
            let marker: Character = "\u{E000}"
            let withoutAliases = String(text.map { $0 == "*" ? marker : $0 })
            if let root = try compose(withoutAliases, source: source) {
                var check = Conversion(source: source, refusedKeyPrefix: marker)
                _ = try check.node(root, line: 1, depth: 0)
            }
        }
        guard let root = try compose(text, source: source) else { return nil }
        var conversion = Conversion(source: source, refusedKeyPrefix: nil)
        return try conversion.node(root, line: 1, depth: 0)
    }

    private static func compose(_ text: String, source: String) throws -> Node? {
        do {
            // Scalars keep their text: types come from the key that a value stands under, never from its looks.
            return try Parser(yaml: text, resolver: .basic, encoding: .utf8).singleRoot()
        } catch let error as YamlError {
            throw syntaxError(error, text: text, source: source)
        }
    }

    private static func syntaxError(_ error: YamlError, text: String, source: String) -> ConfigurationError {
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            if let mistake = ConfigurationMistake.last(in: text, through: mark.line) {
                return ConfigurationError(ConfigurationOrigin(source: source, line: mistake.line), mistake.text)
            }
            let whole = context.map { "\($0.text) (line \($0.mark.line)), \(problem)" } ?? problem
            return ConfigurationError(
                ConfigurationOrigin(source: source, line: mark.line),
                "must be YAML, but at column \(mark.column): \(whole)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            let names = duplicates.joined(separator: ", ")
            return ConfigurationError(
                ConfigurationOrigin(source: source, line: context.mark.line),
                "\(names) must be given once in its map, but is given again further down; keep one of them")
        case .reader(let problem, let offset, _, _):
            let line = offset.map { text.prefix($0).count { $0.isNewline } + 1 }
            return ConfigurationError(
                ConfigurationOrigin(source: source, line: line), "must be YAML, but holds a character it forbids: \(problem)")
        default:
            return ConfigurationError(ConfigurationOrigin(source: source, line: nil), "must be YAML, but: \(error)")
        }
    }

    /// One walk over a document, counting what it meets.
    private struct Conversion {
        let source: String
        let refusedKeyPrefix: Character?
        var values = 0

        mutating func node(_ node: Node, line: Int, depth: Int) throws -> ConfigurationNode {
            let origin = ConfigurationOrigin(source: source, line: line)
            values += 1
            guard values <= mostValues else {
                throw ConfigurationError(origin, "must hold at most \(mostValues) values, aliases written out, but holds more")
            }
            guard depth <= deepestNesting else {
                throw ConfigurationError(origin, "must be nested at most \(deepestNesting) deep, but is deeper")
            }
            switch node {
            case .scalar(let scalar):
                return ConfigurationNode(content: try content(of: scalar, at: origin), origin: origin)
            case .sequence(let items):
                var list: [ConfigurationNode] = []
                for item in items { list.append(try self.node(item, line: item.mark?.line ?? line, depth: depth + 1)) }
                return ConfigurationNode(content: .list(list), origin: origin)
            case .mapping(let pairs):
                var entries: [ConfigurationNode.Entry] = []
                var seen: Set<String> = []
                for (key, value) in pairs {
                    let keyLine = key.mark?.line ?? line
                    let keyOrigin = ConfigurationOrigin(source: source, line: keyLine)
                    guard case .scalar(let scalar) = key, refusedKeyPrefix.map({ scalar.string.first != $0 }) ?? true else {
                        throw ConfigurationError(keyOrigin, "a key must be a name, but is a list, a map or an alias")
                    }
                    if scalar.style == .plain, let mistake = Self.mistake(in: scalar.string) {
                        throw ConfigurationError(keyOrigin, mistake)
                    }
                    // A value below its key that is no map, but would be one with a space.
                    if case .scalar(let below) = value, below.style == .plain, let line = value.mark?.line, line > keyLine,
                        let mistake = Self.mistake(in: below.string)
                    {
                        throw ConfigurationError(ConfigurationOrigin(source: source, line: line), mistake)
                    }
                    guard scalar.string != "<<" else {
                        throw ConfigurationError(
                            keyOrigin,
                            "a key must be a name, but is a merge (<<); use inherit: FILE for what configurations share")
                    }
                    guard seen.insert(scalar.string).inserted else {
                        throw ConfigurationError(
                            keyOrigin, "\(scalar.string) must be given once in its map, but is given again")
                    }
                    entries.append(.init(key: scalar.string, node: try self.node(value, line: keyLine, depth: depth + 1)))
                }
                return ConfigurationNode(content: .map(entries), origin: origin)
            case .alias(let alias):
                throw ConfigurationError(origin, "must be a value, but is the alias \(alias.anchor) of none")
            }
        }

        private static func mistake(in text: String) -> String? {
            ConfigurationMistake.blank(in: text) ?? ConfigurationMistake.missingSpace(in: text)
        }

        private func content(of scalar: Node.Scalar, at origin: ConfigurationOrigin) throws -> ConfigurationNode.Content {
            let quoted = scalar.style != .plain
            if !quoted, let blank = ConfigurationMistake.blank(in: scalar.string) { throw ConfigurationError(origin, blank) }
            switch scalar.tag.description {
            case Tag.Name.implicit.rawValue: return .scalar(scalar.string, quoted: quoted)
            case Tag.Name.str.rawValue, Tag.Name.nonSpecific.rawValue: return .scalar(scalar.string, quoted: true)
            case let tag: throw ConfigurationError(origin, "must be a value without a tag, but bears \(tag); leave the tag out")
            }
        }
    }
}
