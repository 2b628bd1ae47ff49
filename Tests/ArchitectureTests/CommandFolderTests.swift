import Foundation
import Testing

/// The folders of `strata`: arguments and wiring, in layers.
@Suite struct CommandFolderTests {
    /// The folder that a file of `Sources/strata` lies in; empty for the command's own file, which is in none.
    private static func folder(_ file: SourceTree.File) -> String {
        let parts = file.path.split(separator: "/")
        return parts.count > 3 ? String(parts[2]) : ""
    }

    /// The text without comments and the contents of strings on one line.
    private static func code(_ text: String) -> String {
        text.replacing(/\/\/[^\n]*/, with: "").replacing(/"(\\.|[^"\\\n])*"/, with: "\"\"")
    }

    /// The names of what a file declares for others.
    private static func declarations(_ code: String) -> [String] {
        code.matches(
            of: /(?m)^(?:@\w+ )?(?:public |package |final )*(?:struct|class|enum|protocol|typealias|func|let|var) (\w+)/
        ).map { String($0.1) }
    }

    /// For each folder those whose declarations it uses.
    private static func uses(_ files: [SourceTree.File]) -> [String: Set<String>] {
        var home: [String: String] = [:], uses: [String: Set<String>] = [:]
        for file in files { for name in declarations(code(file.text)) { home[name] = folder(file) } }
        for file in files {
            let words = Set(code(file.text).matches(of: /\w+/).map { String($0.0) })
            uses[folder(file), default: []].formUnion(words.compactMap { home[$0] }.filter { $0 != folder(file) })
        }
        return uses
    }

    /// The folders of a circle; nil if there is none.
    static func circle(_ uses: [String: Set<String>]) -> [String]? {
        func search(_ path: [String]) -> [String]? {
            for next in (uses[path.last!] ?? []).sorted() {
                if let start = path.firstIndex(of: next) { return Array(path[start...]) + [next] }
                if let found = search(path + [next]) { return found }
            }
            return nil
        }
        return uses.keys.sorted().lazy.compactMap { search([$0]) }.first
    }

    @Test func noFolderUsesOneThatUsesIt() throws {
        let uses = Self.uses(try SourceTree.swiftFiles(in: "Sources/strata"))
        #expect(uses["Commands"]?.isSuperset(of: ["Options", "Run", "Failures"]) == true, "\(uses)")
        let circle = Self.circle(uses)
        #expect(circle == nil, "\(circle?.joined(separator: " → ") ?? "") is a circle: move what is shared below")
    }

    @Test func circlesAreFound() {
        #expect(Self.circle(["a": ["b", "c"], "b": ["c"], "c": []]) == nil)
        #expect(Self.circle(["a": ["b"], "b": ["c"], "c": ["b"]]) == ["b", "c", "b"])
        let files = [
            SourceTree.File(path: "Sources/strata/Low/A.swift", text: "struct Low {} // High\nlet text = \"High\""),
            SourceTree.File(path: "Sources/strata/High/B.swift", text: "final class High { let low = Low() }"),
        ]
        #expect(Self.uses(files) == ["Low": [], "High": ["Low"]])
    }
}
