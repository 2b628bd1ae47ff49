import Evaluation
import Files
import Foundation

extension EvaluationResult {
    func json() throws -> String { try JSONText.pretty(self) }

    /// Writes the file that `strata report` reads, keeping the means of the evaluations that it replaces.
    ///
    /// - Throws: `FileError`.
    func save(to path: String) throws {
        let data = FileManager.default.contents(atPath: path)
        let previous = data.flatMap { try? JSONDecoder().decode(EvaluationResult.self, from: $0) }
        try FileWriter.replace(path, with: (previous.map(replacing) ?? self).json())
    }
}
