import Foundation
import Testing

@testable import DataPipeline

/// A temporary folder that goes when the test is over.
final class ScratchFolder {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "strata-data-" + UUID().uuidString
        try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file, its folders included, and gives its path.
    @discardableResult
    func write(_ name: String, _ text: String) -> String { write(name, Data(text.utf8)) }

    @discardableResult
    func write(_ name: String, _ bytes: Data) -> String {
        let file = "\(path)/\(name)"
        let folder = (file as NSString).deletingLastPathComponent
        try! FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try! bytes.write(to: URL(fileURLWithPath: file))
        return file
    }

    func lines(_ count: Int, _ word: String) -> String {
        (0..<count).map { "\(word) \($0 % 7) \(word) and \(word)s \($0)\n" }.joined()
    }

    /// Pairs en-de (60, 5 and 4 lines) as Moses has them.
    func writeMoses() {
        for (split, count, en, de) in [
            ("train", 60, "house", "Haus"), ("valid", 5, "hose", "Hase"), ("test", 4, "shoe", "Hause"),
        ] {
            write("text/\(split).en-de.en", lines(count, en))
            write("text/\(split).en-de.de", lines(count, de))
        }
    }

    func configuration(_ format: DataConfiguration.Format = .moses, vocabulary: Int = 80) -> DataConfiguration {
        var configuration = DataConfiguration(
            format: format, path: format == .numerals ? nil : "\(path)/text", prepared: "\(path)/prepared")
        configuration.vocabulary = vocabulary
        if format == .numerals {
            configuration.numerals.below = 2000
            configuration.numerals.languages = ["cat", "isl"]
            configuration.numerals.pairs = 400
            configuration.numerals.pairsByLanguage = ["isl": 100]
            configuration.numerals.validation = 20
            configuration.numerals.test = 30
        }
        return configuration
    }
}

/// Expects a `DataError` of a kind whose message has every one of the texts.
func expectError(
    _ kind: DataError.Kind, _ texts: String..., location: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
    do {
        try body()
        Issue.record("expected an error with \(texts)", sourceLocation: location)
    } catch let error as DataError {
        #expect(error.kind == kind, "\(error)", sourceLocation: location)
        for text in texts {
            #expect(error.message.contains(text), "\(error) must contain \(text)", sourceLocation: location)
        }
    } catch {
        Issue.record("expected a DataError, got \(error)", sourceLocation: location)
    }
}
