/// Where a value of a configuration was written: a line of a file, or an override on the command line.
struct ConfigurationOrigin: Equatable, Sendable, CustomStringConvertible {
    /// A file's path, or `--set path.to.key=value`.
    var source: String
    /// Counted from 1; nil where the whole source is meant.
    var line: Int?

    var description: String { line.map { "\(source):\($0)" } ?? source }
}

/// A configuration that cannot be used: everything that is wrong with it, in the order of the file.
struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    struct Problem: Equatable, Sendable, CustomStringConvertible {
        var origin: ConfigurationOrigin
        var text: String

        var description: String { "\(origin): \(text)" }
    }

    /// What is shown at most, that a file which is no configuration at all does not fill the screen.
    static let shown = 40

    let problems: [Problem]

    init(_ problems: [Problem]) {
        precondition(!problems.isEmpty, "an error must say what is wrong")
        self.problems = problems
    }

    init(_ origin: ConfigurationOrigin, _ text: String) {
        self.init([Problem(origin: origin, text: text)])
    }

    /// One line a problem.
    var description: String {
        var lines = problems.prefix(Self.shown).map(\.description)
        if problems.count > Self.shown { lines.append("… and \(problems.count - Self.shown) more problems") }
        return lines.joined(separator: "\n")
    }
}
