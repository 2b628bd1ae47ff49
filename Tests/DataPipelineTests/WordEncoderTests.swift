import Foundation
import Testing

@testable import DataPipeline

/// Words from memory against SentencePiece's own encoding of the whole sentence.
@Suite struct WordEncoderTests {
    private static let sentences =
        (0..<400).map { "the house \($0) is a small house: houses of \($0 % 9) rooms, the others — ça va 😀 aaaa aaab bbaa" }
        + (0..<200).map { number in
            // Words of few letters have many segmentations, some as good as each other.
            (0..<12).map { String(repeating: "ab", count: ($0 * number) % 7) + String(repeating: "a", count: $0 % 5) }
                .joined(separator: " ")
        }

    private static let odd = [
        "", " ", "   ", "  two  spaces ", "\t", "tab\tin a word", "▁", "a▁b", "▁a ▁", "unseen 漢字 漢", "a漢b house", "\u{0}",
        "e\u{301}",
        "<2cat> </s>", String(repeating: "x", count: 70), String(repeating: "house ", count: 3000), "\u{2028}", "\u{85} x",
        String(repeating: "ab", count: 30), "\u{A0}", "😀😀😀",
    ]

    @Test(arguments: [60, 120, 400], [true, false])
    func isTheSentencesOwnEncoding(vocabulary: Int, byteFallback: Bool) throws {
        let size = byteFallback ? vocabulary + 256 : vocabulary
        let model = try Tokenizer.train(
            sentences: Self.sentences, vocabulary: size, languages: ["eng", "cat"], byteFallback: byteFallback)
        let tokenizer = try Tokenizer(model: model)
        // Also with so few words that most are not remembered.
        for words in [10_000, 5, 0] {
            let encoder = WordEncoder(tokenizer: tokenizer, words: words)
            for _ in 0..<2 {
                for sentence in Self.sentences + Self.odd {
                    var tokens: [Int32] = [7]
                    let count = encoder.append(sentence, to: &tokens)
                    #expect(tokens == [7] + tokenizer.encode(sentence) && count == tokens.count - 1, "\(sentence.prefix(80))")
                }
            }
        }
    }
}
