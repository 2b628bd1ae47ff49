import Foundation

/// The names that there are, as documents may mention them.
struct DocumentNames {
    private var words: Set<Substring>
    /// The words of the files that declare or extend a type, by its name.
    private var members: [Substring: Set<Substring>] = [:]
    /// The files' texts, likewise.
    private var texts: [Substring: [String]] = [:]
    /// With a slash before, so that the end of a path can be looked up.
    private let paths: [String]

    /// Those of Swift `files`, their paths, and further `words`.
    init(files: [SourceTree.File], words: Set<Substring>, paths: [String] = []) {
        self.words = words
        self.paths = (files.map(\.path) + paths).map { "/\($0)" }
        let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "extension", "actor", "typealias"]
        for file in files {
            let sequence = Self.code(file.text), own = Set(sequence)
            self.words.formUnion(own)
            for (kind, name) in zip(sequence, sequence.dropFirst()) where kinds.contains(kind) {
                members[name, default: []].formUnion(own)
                texts[name, default: []].append(file.text)
            }
        }
        for path in self.paths { self.words.formUnion(Self.split(path[...])) }
    }

    static let ofThePackage: DocumentNames = {
        do {
            let folders = ["Sources", "Tests", "configs", "launch", "Docs"]
            let others = try folders.flatMap { try SourceTree.files(in: $0, extensions: ["yaml", "sh", "h", "cpp", "c"]) }
            let resources = try FileManager.default.subpathsOfDirectory(
                atPath: SourceTree.root.appendingPathComponent("Tests/Fixtures").path)
            let files = try ["Sources", "Tests"].flatMap { try SourceTree.swiftFiles(in: $0) }
            let manifest = SourceTree.File(
                path: "Package.swift",
                text: try String(contentsOf: SourceTree.root.appendingPathComponent("Package.swift"), encoding: .utf8))
            return DocumentNames(
                files: files + [manifest], words: Set(others.flatMap { split($0.text[...]) }),
                paths: others.map(\.path) + resources.map { "Tests/Fixtures/\($0)" })
        } catch {
            preconditionFailure("the package's files must be readable: \(error)")
        }
    }()

    /// Whether what a document has in backticks exists: a file or folder, a type's member, or each of its words.
    func holds(_ span: String) -> Bool {
        if isPath(span) { return hasFile(span) }
        let name = span.prefix { $0 != "(" }, parts = name.split(separator: ".")
        if name.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "." }), parts.count > 1, let type = parts.first,
            type.first?.isUppercase == true
        {
            guard let members = members[type], parts.dropFirst().allSatisfy(members.contains) else { return false }
            let labels = span.dropFirst(name.count)
            return !labels.hasSuffix(":)") || texts[type]!.contains { Self.declares(parts.last! + labels, $0) }
        }
        return Self.split(span[...]).allSatisfy { $0.first!.isNumber || $0.count == 1 || words.contains($0) }
    }

    private func isPath(_ span: String) -> Bool {
        guard !span.contains(" "), !span.contains("<"), !span.contains("…") else { return false }
        return span.hasSuffix(".swift") || span.hasSuffix(".yaml") || span.hasSuffix(".sh")
            || (span.contains("/") && span.first?.isLetter == true)
    }

    /// A path or the end of one; what follows a star may be anything.
    private func hasFile(_ span: String) -> Bool {
        let fixed = span.prefix { $0 != "*" }
        let sought = "/" + (fixed.hasSuffix("/") ? fixed.dropLast() : fixed)
        let isStarred = fixed.count < span.count
        return paths.contains { $0.hasSuffix(sought) || $0.contains(isStarred ? sought : sought + "/") }
    }

    /// Whether a function or initialiser `name(labels:)` is declared in the text.
    private static func declares(_ signature: some StringProtocol, _ text: String) -> Bool {
        let name = signature.prefix { $0 != "(" }
        return text.ranges(of: name == "init" ? "init" : "func \(name)").contains { range in
            var depth = 0, labels = "", word = "", isLabel = true
            for character in text[range.upperBound...].drop(while: { $0 != "(" }) {
                switch character {
                case "(", "[", "<", "{": depth += 1
                case ">" where word.hasSuffix("-"): word.append(character)
                case ")", "]", ">", "}": depth -= 1
                case ":" where depth == 1 && isLabel:
                    labels += (word.split(separator: " ").first ?? "") + ":"
                    isLabel = false
                case "," where depth == 1: (word, isLabel) = ("", true)
                case "\n": word += " "
                default: word.append(character)
                }
                if depth == 0 { break }
            }
            return "\(name)(\(labels))" == signature
        }
    }

    /// What stands between backticks, code blocks left out; a line's end is a space.
    static func spans(_ markdown: String) -> Set<String> {
        var isCode = false, prose = ""
        for line in markdown.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.drop(while: { $0 == " " }).hasPrefix("```") { isCode.toggle() } else if !isCode { prose += line + "\n" }
        }
        let pieces = prose.split(separator: "`", omittingEmptySubsequences: false)
        return Set(
            pieces.indices.filter { $0 % 2 == 1 && $0 < pieces.count - 1 }.map {
                pieces[$0].split(whereSeparator: \.isWhitespace).joined(separator: " ")
            })
    }

    /// The words of Swift code in order, comments left out.
    private static func code(_ text: String) -> [Substring] {
        text.split(whereSeparator: \.isNewline).flatMap { line in
            split(line.ranges(of: "//").first.map { line[..<$0.lowerBound] } ?? line)
        }
    }

    private static func split(_ text: Substring) -> [Substring] {
        text.split { !$0.isLetter && !$0.isNumber && $0 != "_" }
    }
}
