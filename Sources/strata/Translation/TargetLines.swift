import DataPipeline
import Evaluation
import Foundation

/// Where `strata translate` writes, and in which form.
final class TargetLines {
    private let file: FileHandle
    private let options: TranslationOptions
    private var count = 0

    /// `path` nil: standard output.
    init(path: String?, _ options: TranslationOptions) throws {
        self.options = options
        guard let path else {
            file = .standardOutput
            return
        }
        guard FileManager.default.createFile(atPath: path, contents: nil), let file = FileHandle(forWritingAtPath: path) else {
            throw CommandFailure(.inputOutput, "--output-file \(path): must be a file that can be written, but is not")
        }
        self.file = file
    }

    /// The lines of some sentences' translations, best first; of a sentence without any, an empty one. `words` gives the text of a
    /// translation of the n-th of the sentences.
    func write(_ sentences: [[Translation]], words: (_ n: Int, _ tokens: [Int32]) throws -> String) throws {
        var text = ""
        for (n, translations) in sentences.enumerated() {
            let found = translations.isEmpty ? [Translation(tokens: [], logProbability: 0, score: 0)] : translations
            for translation in found.prefix(options.nBest ?? 1) {
                let words = Self.oneLine(try words(n, translation.tokens))
                if options.nBest != nil {
                    text += "\(count) ||| \(words) ||| \(Self.score(translation))\n"
                } else {
                    text += options.scores ? "\(Self.score(translation))\t\(words)\n" : "\(words)\n"
                }
            }
            count += 1
        }
        try file.write(contentsOf: Data(text.utf8))
    }

    private static func score(_ translation: Translation) -> String { String(format: "%.6f", translation.score) }

    /// Whatever a program may take for the end of a line becomes a space.
    static func oneLine(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: lineEnds.contains) else { return text }
        var line = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { line.append(lineEnds.contains(scalar) ? " " : scalar) }
        return String(line)
    }

    private static let lineEnds: Set<Unicode.Scalar> = [
        "\n", "\r", "\u{0B}", "\u{0C}", "\u{1C}", "\u{1D}", "\u{1E}", "\u{85}", "\u{2028}", "\u{2029}",
    ]
}
