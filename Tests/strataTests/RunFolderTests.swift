import Evaluation
import Files
import Foundation
import Runs
import Testing

@testable import strata

/// Files of a run folder that cannot be written: the file, and what the system says.
@Suite struct RunFolderTests {
    private let folder = CommandLineFolder()

    @Test func aConfigurationThatCannotBeWritten() throws {
        let configuration = try RunConfiguration.parse("data: {format: numerals, prepared: p}", source: "text")
        #expect(throws: FileError(path: "\(folder.path)/no/config.yaml", reason: "creating failed: No such file or directory"))
        {
            try RunFolder(path: "\(folder.path)/no").write(configuration, tokenizerModel: "\(folder.path)/tokenizer.model")
        }
    }

    @Test func scoresThatCannotBeWritten() throws {
        let result = EvaluationResult(
            split: "test", update: 1, beam: 1, lengthPenalty: 1, average: .init(bleu: 1, chrf: 1, exact: 1), directions: [:],
            signature: "", chrfSignature: nil)
        let error = #expect(throws: FileError.self) { try result.save(to: folder.path) }
        #expect(error?.description == "\(folder.path): must be a file, but is a folder, a device or a pipe; name another")
    }
}
