import ConfigurationForms
import Foundation
import Testing

@testable import Runs

/// Docs/Configuration.md against the configuration.
@Suite struct ConfigurationReferenceTests {
    /// The rows of its tables of keys.
    private static let rows: [[String]] = {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try! String(contentsOf: root.appendingPathComponent("Docs/Configuration.md"), encoding: .utf8)
        var isTable = false
        return text.split(separator: "\n", omittingEmptySubsequences: false).compactMap { line in
            if line.hasPrefix("| key |") { isTable = true }
            if line.isEmpty { isTable = false }
            guard isTable, line.hasPrefix("| `") else { return nil }
            return line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
    }()

    @Test func hasEveryKeyInOrderAndNoOther() {
        let written = Self.rows.map { $0[0].filter { $0 != "`" } }
        #expect(written == RunConfiguration.form().keys(""))
    }

    @Test func namesTheDefaults() throws {
        let defaults = try RunConfiguration.parse(
            "{model: {moe: {strata: 8, conditional_routing: {}}}, data: {format: numerals, prepared: p}}", source: "text")
        let values = Dictionary(uniqueKeysWithValues: defaults.values.map { ($0.path, $0.value) })
        var compared = 0
        for row in Self.rows where row[2].hasPrefix("`") {
            let path = row[0].filter { $0 != "`" }, stated = row[2].filter { $0 != "`" }
            guard let value = values[path] else { continue }
            #expect(stated == value || (Double(stated) != nil && Double(stated) == Double(value)), "\(path): \(value)")
            compared += 1
        }
        #expect(compared > 40)
    }

    /// The ranges of whole numbers and the words, as the forms state them.
    @Test func namesWhatIsAllowed() throws {
        for row in Self.rows {
            let path = row[0].filter { $0 != "`" }, allowed = try Self.allowed(path)
            let numbers = row[1].matches(of: /^(\d+) to (\d+)/).flatMap { [String($0.1), String($0.2)] }
            let words = row[1].hasPrefix("`") ? row[1].matches(of: /`([a-z0-9_-]+)`/).map { String($0.1) } : []
            for word in numbers + words { #expect(allowed.contains(word), "\(path): \(word) in: \(allowed)") }
        }
    }

    /// What is said of a value that none of these keys allows.
    private static func allowed(_ path: String) throws -> String {
        let node = try ConfigurationOverride.parse("\(path)=\"?\""), problems = ConfigurationProblems(root: node)
        _ = RunConfiguration.form().read(node, "", problems)
        return problems.found.map(\.text).joined(separator: "\n")
    }
}
