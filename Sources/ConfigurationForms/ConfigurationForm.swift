/// How a value is written in a configuration: what reads it, and what writes it so that reading gives the same again.
public struct ConfigurationForm<Value> {
    /// What is allowed, as it stands after "must be".
    public let allowed: String
    /// Full paths of the keys below a path, in order; none for what is no section.
    public let keys: (_ path: String) -> [String]
    /// The value of a node; nil if it was rejected, which has then been reported.
    public let read: (_ node: ConfigurationNode, _ path: String, _ problems: ConfigurationProblems) -> Value?
    /// How a value is written; nil if it is expressed by leaving the key out.
    public let write: (Value) -> ConfigurationNode.Content?

    public init(
        allowed: String, keys: @escaping (_ path: String) -> [String] = { _ in [] },
        read: @escaping (_ node: ConfigurationNode, _ path: String, _ problems: ConfigurationProblems) -> Value?,
        write: @escaping (Value) -> ConfigurationNode.Content?
    ) {
        self.allowed = allowed
        self.keys = keys
        self.read = read
        self.write = write
    }

    /// Reads a whole configuration and has `validate` look at what its values mean together.
    ///
    /// - Throws: `ConfigurationError` with every problem found.
    public func read(
        root: ConfigurationNode, validate: (Value, ConfigurationProblems) -> Void = { _, _ in }
    ) throws -> Value {
        let problems = ConfigurationProblems(root: root, keys: { keys("") })
        let value = read(root, "", problems)
        if let value { validate(value, problems) }
        guard let value, problems.found.isEmpty else { throw ConfigurationError(problems.found) }
        return value
    }
}

extension ConfigurationForm {
    /// From a conversion of the text of a scalar; one of `names` that is near is suggested in place of what is not allowed.
    /// `plain` forms do not read text in quotes.
    public init(
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
    public static func either<Wrapped>(_ word: String, or form: ConfigurationForm<Wrapped>) -> Self where Value == Wrapped? {
        let allowed = "\(form.allowed), or \(word)"
        return Self(
            allowed: allowed, keys: form.keys,
            read: { node, path, problems in
                if node.plainText == word { return .some(nil) }
                // What a section or a list itself reports is more exact than that it is not the word.
                guard case .scalar = node.content else { return form.read(node, path, problems).map(Optional.some) }
                let attempt = problems.attempt()
                if !node.isEmpty, let value = form.read(node, path, attempt) { return value }
                problems.reject(
                    path, node, allowed: allowed, nearest: node.text.flatMap { nearestName(to: $0, among: [word]) })
                return nil
            },
            write: { value in value.map(form.write) ?? .scalar(word, quoted: false) })
    }

    /// A value that may be left out, and then is none.
    public static func optional<Wrapped>(_ form: ConfigurationForm<Wrapped>) -> Self where Value == Wrapped? {
        Self(
            allowed: form.allowed, keys: form.keys, read: { form.read($0, $1, $2).map(Optional.some) },
            write: { $0.flatMap(form.write) })
    }
}

extension ConfigurationForm where Value: FixedWidthInteger {
    /// A whole number within a range, in decimal digits.
    public static func integer(_ range: ClosedRange<Value>) -> Self {
        Self(
            scalar: "an integer from \(range.lowerBound) to \(range.upperBound)",
            parse: { ScalarText.integer($0).flatMap { range.contains($0) ? $0 : nil } },
            write: { .scalar("\($0)", quoted: false) })
    }
}

extension ConfigurationForm where Value: BinaryFloatingPoint & LosslessStringConvertible {
    /// A decimal number within bounds, with a fraction and an exponent if need be.
    public static func number(_ bounds: Bounds) -> Self {
        Self(
            scalar: bounds.description,
            // In the type that keeps it: what is no number there (too large, rounded to a forbidden 0) must not pass.
            parse: { (ScalarText.number($0) as Value?).flatMap { bounds.contains(Double($0)) ? $0 : nil } },
            write: { .scalar("\($0)", quoted: false) })
    }
}

extension ConfigurationForm where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    /// One of the names of an enumeration's cases.
    public static var choice: Self {
        let names = Value.allCases.map(\.rawValue)
        return Self(
            scalar: alternatives(names), names: names, plain: false, parse: { Value(rawValue: $0) },
            write: { .scalar($0.rawValue, quoted: false) })
    }
}

extension ConfigurationForm where Value == Bool {
    /// `true` or `false`, and no other word for them.
    public static var boolean: Self {
        Self(
            scalar: "true or false", names: ["true", "false"], parse: { Bool($0) },
            write: { .scalar($0 ? "true" : "false", quoted: false) })
    }
}

extension ConfigurationForm where Value == String {
    /// Any text but the empty one; `what` says what it names.
    public static func text(_ what: String) -> Self {
        Self(
            scalar: what, plain: false, parse: { $0.isEmpty || $0.utf8.contains(0) ? nil : $0 },
            write: { .scalar($0, quoted: !ScalarText.isPlain($0)) })
    }
}

extension ConfigurationForm where Value == String {
    /// One of `names`.
    public static func name(among names: [String]) -> Self {
        Self(
            scalar: alternatives(names), names: names, plain: false, parse: { names.contains($0) ? $0 : nil },
            write: { .scalar($0, quoted: false) })
    }
}

extension ConfigurationForm {
    /// A list of values of one form.
    public static func list<Element>(of element: ConfigurationForm<Element>, count: ClosedRange<Int>) -> Self
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

    /// A `list`, or one item in place of a list of one.
    public static func listOrOne<Element>(of element: ConfigurationForm<Element>, count: ClosedRange<Int>) -> Self
    where Value == [Element] {
        let list = list(of: element, count: count)
        let allowed = "\(element.allowed), or \(list.allowed)"
        return Self(
            allowed: allowed,
            read: { node, path, problems in
                guard case .scalar = node.content else { return list.read(node, path, problems) }
                let attempt = problems.attempt()
                if let value = element.read(node, path, attempt) { return [value] }
                problems.reject(path, node, allowed: allowed)
                return nil
            }, write: list.write)
    }

    /// A map from texts to values of one form; an empty one is not written.
    public static func map<Element>(
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

/// "a, b or c".
private func alternatives(_ names: [String]) -> String {
    guard let last = names.last, names.count > 1 else { return names.joined() }
    return names.dropLast().joined(separator: ", ") + " or " + last
}
