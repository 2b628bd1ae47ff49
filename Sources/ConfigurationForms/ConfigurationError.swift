/// Where a value of a configuration was written: a line of a file, or an override on the command line.
public struct ConfigurationOrigin: Equatable, Sendable, CustomStringConvertible {
    /// A file's path, or `--set path.to.key=value`.
    public var source: String
    /// Counted from 1; nil where the whole source is meant.
    public var line: Int?

    public init(source: String, line: Int?) {
        self.source = source
        self.line = line
    }

    public var description: String { line.map { "\(source):\($0)" } ?? source }
}

/// A configuration that cannot be used: everything that is wrong with it, in the order of the file.
public struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    public struct Problem: Equatable, Sendable, CustomStringConvertible {
        public var origin: ConfigurationOrigin
        /// "must be X, but is Y" after the key's path, and what to do.
        public var text: String

        public init(origin: ConfigurationOrigin, text: String) {
            self.origin = origin
            self.text = text
        }

        public var description: String { "\(origin): \(text)" }
    }

    /// What is shown at most, that a file which is no configuration at all does not fill the screen.
    package static let shown = 40

    public let problems: [Problem]

    /// - Precondition: there is a problem.
    public init(_ problems: [Problem]) {
        precondition(!problems.isEmpty, "an error must say what is wrong")
        self.problems = problems
    }

    /// An error of one problem.
    public init(_ origin: ConfigurationOrigin, _ text: String) {
        self.init([Problem(origin: origin, text: text)])
    }

    /// One line a problem.
    public var description: String {
        var lines = problems.prefix(Self.shown).map(\.description)
        if problems.count > Self.shown { lines.append("… and \(problems.count - Self.shown) more problems") }
        return lines.joined(separator: "\n")
    }
}
