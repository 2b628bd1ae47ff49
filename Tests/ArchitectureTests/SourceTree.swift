import Foundation

/// The package's files, as the tests of its architecture read them.
enum SourceTree {
    struct File {
        /// Relative to the package's root.
        let path: String
        let text: String

        /// The target's folder: `Sources/<target>/…`.
        var target: String { String(path.split(separator: "/")[1]) }
    }

    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Every file below a folder of the package whose name ends in one of the extensions.
    static func files(in folder: String, extensions: Set<String>) throws -> [File] {
        let top = root.appendingPathComponent(folder).path
        let paths = try FileManager.default.subpathsOfDirectory(atPath: top).sorted()
        return try paths.filter { extensions.contains(($0 as NSString).pathExtension) }.map { path in
            File(path: "\(folder)/\(path)", text: try String(contentsOfFile: "\(top)/\(path)", encoding: .utf8))
        }
    }

    static func swiftFiles(in folder: String) throws -> [File] { try files(in: folder, extensions: ["swift"]) }

    /// The modules that Swift code imports, of declarations the module that they are in.
    static func imports(of text: String) -> [String] {
        let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "typealias", "func", "var", "let", "actor"]
        let access: Set<Substring> = ["public", "package", "internal", "fileprivate", "private"]
        return text.split(whereSeparator: \.isNewline).flatMap { line in
            line.split(separator: ";").compactMap { statement in
                var words = statement.split(whereSeparator: \.isWhitespace)[...]
                while let word = words.first, word.hasPrefix("@") || access.contains(word) { words.removeFirst() }
                guard words.popFirst() == "import" else { return nil }
                if let word = words.first, kinds.contains(word) { words.removeFirst() }
                return words.first.map { String($0.prefix { $0.isLetter || $0.isNumber || $0 == "_" }) }
            }
        }
    }
}
