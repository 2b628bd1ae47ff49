import DataPipeline

/// How a value is written in a configuration: what reads it, and what writes it so that reading gives the same again.
struct ConfigurationForm<Value> {
    /// What is allowed, as it stands after "must be".
    let allowed: String
    /// Full paths of the keys below a path, in order; none for what is no section.
    var keys: (_ path: String) -> [String] = { _ in [] }
    /// Nil if the value was rejected, which has then been reported.
    let read: (_ node: ConfigurationNode, _ path: String, _ problems: ConfigurationProblems) -> Value?
    /// Nil if the value is expressed by leaving the key out.
    let write: (Value) -> ConfigurationNode.Content?
}

extension ConfigurationForm {
    /// From a conversion of the text of a scalar.
    private init(
        scalar allowed: String, names: [String] = [], plain: Bool = true, parse: @escaping (String) -> Value?,
        write: @escaping (Value) -> ConfigurationNode.Content
    ) {
        self.init(
            allowed: allowed,
            read: { node, path, problems in
                if let text = plain ? node.plainText : node.text, let value = parse(text) { return value }
                let nearest = node.text.flatMap { nearestName(to: $0, among: names) }
                problems.reject(path, node, allowed: allowed, nearest: nearest)
                return nil
            }, write: write)
    }

    /// A word that stands for no value, or a value's form.
    static func either<Wrapped>(_ word: String, or form: ConfigurationForm<Wrapped>) -> Self where Value == Wrapped? {
        let allowed = "\(form.allowed), or \(word)"
        return Self(
            allowed: allowed, keys: form.keys,
            read: { node, path, problems in
                if node.plainText == word { return .some(nil) }
                // What a section or a list itself reports is more exact than that it is not the word.
                guard case .scalar = node.content else { return form.read(node, path, problems).map(Optional.some) }
                let attempt = ConfigurationProblems(root: problems.root)
                if !node.isEmpty, let value = form.read(node, path, attempt) { return value }
                problems.reject(
                    path, node, allowed: allowed, nearest: node.text.flatMap { nearestName(to: $0, among: [word]) })
                return nil
            },
            write: { value in value.map(form.write) ?? .scalar(word, quoted: false) })
    }

    /// A value that may be left out, and then is none.
    static func optional<Wrapped>(_ form: ConfigurationForm<Wrapped>) -> Self where Value == Wrapped? {
        Self(
            allowed: form.allowed, keys: form.keys, read: { form.read($0, $1, $2).map(Optional.some) },
            write: { $0.flatMap(form.write) })
    }
}

extension ConfigurationForm where Value: FixedWidthInteger {
    static func integer(_ range: ClosedRange<Value>) -> Self {
        Self(
            scalar: "an integer from \(range.lowerBound) to \(range.upperBound)",
            parse: { ScalarText.integer($0).flatMap { range.contains($0) ? $0 : nil } },
            write: { .scalar("\($0)", quoted: false) })
    }
}

extension ConfigurationForm where Value: BinaryFloatingPoint & LosslessStringConvertible {
    static func number(_ bounds: Bounds) -> Self {
        Self(
            scalar: bounds.description,
            // In the type that keeps it: what is no number there (too large, rounded to a forbidden 0) must not pass.
            parse: { (ScalarText.number($0) as Value?).flatMap { bounds.contains(Double($0)) ? $0 : nil } },
            write: { .scalar("\($0)", quoted: false) })
    }
}

extension ConfigurationForm where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    static var choice: Self {
        let names = Value.allCases.map(\.rawValue)
        return Self(
            scalar: alternatives(names), names: names, plain: false, parse: { Value(rawValue: $0) },
            write: { .scalar($0.rawValue, quoted: false) })
    }
}

extension ConfigurationForm where Value == Bool {
    static var boolean: Self {
        Self(
            scalar: "true or false", names: ["true", "false"], parse: { Bool($0) },
            write: { .scalar($0 ? "true" : "false", quoted: false) })
    }
}

extension ConfigurationForm where Value == String {
    /// Any text but the empty one; `what` says what it names.
    static func text(_ what: String) -> Self {
        Self(
            scalar: what, plain: false, parse: { $0.isEmpty || $0.utf8.contains(0) ? nil : $0 },
            write: { .scalar($0, quoted: !ScalarText.isPlain($0)) })
    }

    static var language: Self {
        Self(
            scalar: "a language code of letters, digits and _", plain: false, parse: { ScalarText.isLanguage($0) ? $0 : nil },
            write: { .scalar($0, quoted: !ScalarText.isPlain($0)) })
    }
}

extension ConfigurationForm where Value == Direction {
    static var direction: Self {
        Self(
            scalar: "a direction of two different languages such as eng-cat", plain: false, parse: { Direction($0) },
            write: { .scalar($0.description, quoted: !ScalarText.isPlain($0.description)) })
    }
}

extension ConfigurationForm {
    static func list<Element>(of element: ConfigurationForm<Element>, count: ClosedRange<Int>) -> Self
    where Value == [Element] {
        let allowed = "a list of \(count.lowerBound) to \(count.upperBound) items, each \(element.allowed)"
        return Self(
            allowed: allowed,
            read: { node, path, problems in
                guard case .list(let items) = node.content, count.contains(items.count) else {
                    problems.reject(path, node, allowed: allowed)
                    return nil
                }
                let values = items.enumerated().map { element.read($1, "\(path)[\($0)]", problems) }
                return values.contains { $0 == nil } ? nil : values.map { $0! }
            },
            write: { values in
                .list(values.compactMap { element.write($0) }.map(ConfigurationNode.init(written:)))
            })
    }

    /// As `list`, or one item in place of a list of one.
    static func listOrOne<Element>(of element: ConfigurationForm<Element>, count: ClosedRange<Int>) -> Self
    where Value == [Element] {
        let list = list(of: element, count: count)
        let allowed = "\(element.allowed), or \(list.allowed)"
        return Self(
            allowed: allowed,
            read: { node, path, problems in
                guard case .scalar = node.content else { return list.read(node, path, problems) }
                let attempt = ConfigurationProblems(root: problems.root)
                if let value = element.read(node, path, attempt) { return [value] }
                problems.reject(path, node, allowed: allowed)
                return nil
            }, write: list.write)
    }

    static func map<Element>(
        from key: ConfigurationForm<String>, to element: ConfigurationForm<Element>
    ) -> Self where Value == [String: Element] {
        let allowed = "a map from \(key.allowed) to \(element.allowed)"
        return Self(
            allowed: allowed,
            read: { node, path, problems in
                if node.isEmpty { return [:] }
                guard case .map(let entries) = node.content else {
                    problems.reject(path, node, allowed: allowed)
                    return nil
                }
                var values: [String: Element] = [:]
                var complete = true
                for entry in entries {
                    let name = ConfigurationNode(content: .scalar(entry.key, quoted: true), origin: entry.node.origin)
                    if key.read(name, "the key of \(path)", problems) != nil,
                        let value = element.read(entry.node, "\(path).\(entry.key)", problems)
                    {
                        values[entry.key] = value
                    } else {
                        complete = false
                    }
                }
                return complete ? values : nil
            },
            write: { values in
                if values.isEmpty { return nil }
                return .map(
                    values.sorted { $0.key < $1.key }.compactMap { key, value in
                        element.write(value).map { .init(key: key, node: ConfigurationNode(written: $0)) }
                    })
            })
    }
}

extension ConfigurationNode {
    /// A value that was not read from anywhere.
    init(written content: Content) {
        self.init(content: content, origin: ConfigurationOrigin(source: "", line: nil))
    }
}

/// "a, b or c".
func alternatives(_ names: [String]) -> String {
    guard let last = names.last, names.count > 1 else { return names.joined() }
    return names.dropLast().joined(separator: ", ") + " or " + last
}
