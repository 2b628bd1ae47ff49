import Evaluation
import Foundation
import TensorCore

extension EvaluationResult {
    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }

    /// Writes the file that `strata report` reads, keeping the means of the evaluations that it replaces.
    ///
    /// - Throws: `FileError`.
    func save(to path: String) throws {
        let data = FileManager.default.contents(atPath: path)
        let previous = data.flatMap { try? JSONDecoder().decode(EvaluationResult.self, from: $0) }
        do {
            try Data((previous.map(replacing) ?? self).json().utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw FileError(path: path, reason: "writing failed: \(error.localizedDescription)")
        }
    }
}
