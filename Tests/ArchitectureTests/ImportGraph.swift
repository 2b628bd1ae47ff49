import Foundation
import _TestSupport

/// What `Docs/import-graph.sh` reads in Package.swift.
enum ImportGraph {
    struct ScriptFailed: Error {
        let output: String
    }

    static func drawing() throws -> String { try run() }

    static func edges() throws -> [(importer: String, imported: String)] {
        try run("--edges").split(separator: "\n").map { line in
            let names = line.split(separator: " ").map(String.init)
            return (names[0], names[1])
        }
    }

    private static func run(_ arguments: String...) throws -> String {
        let script = SourceTree.root.appendingPathComponent("Docs/import-graph.sh").path
        let outcome = try Subprocess.run("bash", [script] + arguments, timeout: 30)
        guard outcome.status == 0 else { throw ScriptFailed(output: "\(outcome)") }
        return outcome.stdout
    }
}
