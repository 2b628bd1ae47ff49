import ConfigurationForms

/// Which parameters training changes. The others are frozen: they have no gradients, no moments, no average, no part in the norm.
public enum TrainedParameters: Equatable, Sendable {
    case all
    /// The experts of mixtures and what they share, with what leads to them: gates, and scales of strata.
    case experts
    /// The experts' adapters, with what leads to them.
    case adapters
    /// Those whose names match one of the patterns, in which `*` stands for any characters.
    case matching([String])

    /// Patterns of the names that are trained.
    public var patterns: [String] {
        switch self {
        case .all: ["*"]
        case .experts: ["*.moe.experts.*", "*.moe.central.*", "*.moe.strata.*"] + Self.ways
        case .adapters: ["*.moe.experts.*.adapter.*"] + Self.ways
        case .matching(let patterns): patterns
        }
    }

    private static let ways = ["*.moe.gates.*", "*.moe.scales.*"]

    /// Whether a parameter of this name, that of its tensor in checkpoints, is trained.
    public func contains(_ name: String) -> Bool {
        self == .all || patterns.contains { Self.matches(name.utf8[...], $0.utf8[...]) }
    }

    /// Patterns of the configuration that match none of `names`.
    public func idlePatterns(among names: [String]) -> [String] {
        guard case .matching(let patterns) = self else { return [] }
        return patterns.filter { pattern in !names.contains { Self.matches($0.utf8[...], pattern.utf8[...]) } }
    }

    /// A star is given as little as it takes; where what follows does not fit, the last star is given one character more.
    private static func matches(_ name: Substring.UTF8View, _ pattern: Substring.UTF8View) -> Bool {
        var (name, pattern) = (name, pattern)
        var retry: (name: Substring.UTF8View, pattern: Substring.UTF8View)?
        while true {
            if pattern.first == UInt8(ascii: "*") {
                pattern = pattern.dropFirst()
                retry = (name, pattern)
            } else if let next = name.first, next == pattern.first {
                (name, pattern) = (name.dropFirst(), pattern.dropFirst())
            } else if name.isEmpty, pattern.isEmpty {
                return true
            } else if let last = retry, !last.name.isEmpty {
                (name, pattern) = (last.name.dropFirst(), last.pattern)
                retry = (name, pattern)
            } else {
                return false
            }
        }
    }
}

extension TrainedParameters {
    /// One of the words, or a list of patterns.
    static var form: ConfigurationForm<Self> {
        let words: [(String, Self)] = [("all", .all), ("experts", .experts), ("adapters", .adapters)]
        let pattern = ConfigurationForm<String>.text("a pattern of parameters' names such as \"*.moe.gates.*\"")
        let list = ConfigurationForm<[String]>.list(of: pattern, count: 1...1000)
        let names = words.map(\.0), allowed = names.joined(separator: ", ") + ", or \(list.allowed)"
        let word = ConfigurationForm<Self>(
            scalar: allowed, names: names, plain: false, parse: { text in words.first { $0.0 == text }?.1 },
            write: { value in .scalar(words.first { $0.1 == value }?.0 ?? "", quoted: false) })
        return ConfigurationForm(
            allowed: allowed,
            read: { node, path, problems in
                guard case .list = node.content else { return word.read(node, path, problems) }
                return list.read(node, path, problems).map(Self.matching)
            },
            write: { value in
                if case .matching(let patterns) = value { return list.write(patterns) }
                return word.write(value)
            })
    }
}
