import Foundation
import Testing

/// What the documentation names in backticks exists: in the code, in a configuration, or as a file.
@Suite struct NamesTests {
    @Test(arguments: ["Docs/Method.md", "Docs/Architecture.md"]) func documentsNameWhatExists(path: String) throws {
        let text = try String(contentsOf: SourceTree.root.appendingPathComponent(path), encoding: .utf8)
        let spans = DocumentNames.spans(text), known = DocumentNames.ofThePackage
        #expect(spans.count > 100)
        let unknown = spans.subtracting(Self.foreign).filter { !known.holds($0) }.sorted()
        #expect(unknown.isEmpty, "\(path) must name what exists, but has \(unknown.joined(separator: ", "))")
    }

    /// Folders of runs.
    private static let foreign: Set<String> = ["analysis/", "checkpoints/step-00001000/", "ranks/"]

    /// What the articles show is what the example has, which is built and run.
    @Test func articlesShowTheExample() throws {
        let folder = "Docs/Examples/CustomRouting"
        let example = try SourceTree.files(in: folder, extensions: ["swift", "yaml"]).filter { !$0.path.contains("/.build/") }
        var blocks = 0
        for article in try SourceTree.files(in: "Sources/MixtureOfExperts/MixtureOfExperts.docc", extensions: ["md"]) {
            let parts = article.text.components(separatedBy: "```")
            for part in parts.indices where part % 2 == 1 {
                let code = parts[part].drop { $0 != "\n" }
                #expect(
                    example.contains { $0.text.contains(code) }, "\(article.path) must show code of \(folder), but has\(code)")
                blocks += 1
            }
        }
        #expect(blocks >= 10)
        let rule = try #require(example.first { $0.path.hasSuffix("/RelativeThreshold.swift") })
        #expect(
            rule.text.split(separator: "\n", omittingEmptySubsequences: false).count <= 60, "a routing rule is a short file")
    }

    @Test func spansAreRead() {
        let text = "`a.b` and `c\nd`\n```sh\n`no`\n```\n|`top_k: 2` | x |"
        #expect(DocumentNames.spans(text) == ["a.b", "c d", "top_k: 2"])
    }

    @Test func namesAreLookedUp() {
        let names = DocumentNames(
            files: [
                .init(
                    path: "Sources/Mill/Stones/Wheel.swift",
                    text:
                        "public struct Wheel {\n    // brake\n    func turn<T>(_ times: (Int) -> T, by angle: Float = f(x: 1)) {}\n}"
                ),
                .init(path: "Sources/Mill/Flour.swift", text: "enum Flour { case fine_white }\nlet key = \"grain_size\""),
            ], words: [".jsonl", "none"])
        for name in [
            "Wheel", "Wheel.turn", "Wheel.turn(_:by:)", "grain_size: none", "Mill", "Stones/Wheel.swift", "Wheel.swift",
            "Sources/Mill/*.swift", "….fine_white.{s}", "[2, 2]",
        ] {
            #expect(names.holds(name), "\(name)")
        }
        for name in [
            "Wheels", "Wheel.brake", "Flour.turn", "Wheel.turn(_:)", "Wheel.turn(_:x:)", "grain_sizes: 2", "Mill/Wheel.swift",
            "Sources/Bakery/*.swift", "brake",
        ] {
            #expect(!names.holds(name), "\(name)")
        }
    }
}
