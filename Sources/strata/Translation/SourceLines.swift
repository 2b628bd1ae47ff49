import DataPipeline
import Foundation

/// The lines that `strata translate` reads, some at a time: whatever has arrived when nothing more waits to be read.
final class SourceLines {
    /// A longer line has more than the tokens that are translated.
    private static let maximumBytes = 1 << 16
    /// Bytes that are read at once, so that memory is bounded whatever the input.
    private static let mostBytes = 1 << 22

    private let reader: LineReader
    private var notice = SourceNotice()
    /// Lines given so far.
    private(set) var count = 0
    /// Bytes of text given so far.
    private(set) var bytes = 0
    /// The text of the lines given last.
    private(set) var texts: [String] = []

    /// `path` nil: standard input.
    init(path: String?) throws {
        reader =
            try path.map { try LineReader(path: $0, maximumBytes: Self.maximumBytes) }
            ?? LineReader(descriptor: STDIN_FILENO, name: "standard input", maximumBytes: Self.maximumBytes)
    }

    /// At least one line and at most `most`, as tokens; none at the end of the input. Warns of lines that were not as they should be.
    func next(atMost most: Int, _ tokenizer: Tokenizer, longest: Int) throws -> [[Int32]] {
        var sentences: [[Int32]] = [], taken = 0
        texts = []
        var line = try reader.next()
        while let read = line {
            for warning in reader.warnings(read) { warn(warning) }
            taken += read.text.utf8.count + 1
            // Blanks of some kinds are pieces to SentencePiece, but no text to a reader.
            var tokens = read.isBlank ? [] : tokenizer.encode(read.text)
            if tokens.count > longest {
                warn(
                    "\(reader.name):\(read.number): must be at most \(longest) tokens, but has more: only those are translated")
                tokens = Array(tokens.prefix(longest))
            }
            notice.see(read, hasUnknown: tokens.contains(tokenizer.unknown))
            sentences.append(tokens)
            texts.append(read.text)
            guard sentences.count < most, taken < Self.mostBytes else { break }
            line = try reader.nextArrived()
        }
        count += sentences.count
        bytes += taken
        return sentences
    }

    /// What is said once, at the end.
    func warnAtEnd() { if let text = notice.text(of: reader.name) { warn(text) } }
}

/// Lines with characters that the model has never seen.
struct SourceNotice {
    private var lines = 0
    private var first = 0
    /// Those that are composed otherwise than Unicode's form C.
    private var decomposed = 0

    mutating func see(_ line: TextLine, hasUnknown: Bool) {
        guard hasUnknown else { return }
        lines += 1
        if lines == 1 { first = line.number }
        // Scalars are compared: strings are equal whatever their form.
        let composed = line.text.precomposedStringWithCanonicalMapping
        if !composed.unicodeScalars.elementsEqual(line.text.unicodeScalars) { decomposed += 1 }
    }

    /// nil where there is nothing to say.
    func text(of name: String) -> String? {
        guard lines > 0 else { return nil }
        let form = "; \(decomposed) of them are not in Unicode's normalisation form C, which most text is in: try uconv -x nfc"
        return
            "\(name): must be of characters that the model was trained on, but \(lines) lines have others, the first of them line "
            + "\(first): each is read as an unknown token" + (decomposed > 0 ? form : "")
    }
}
