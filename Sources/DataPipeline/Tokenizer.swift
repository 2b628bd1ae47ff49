import CSentencePiece
import Foundation

/// A SentencePiece unigram model: text to token ids and back. Safe to use from several threads at once.
///
/// Ids: 0 is the unknown token, then `</s>`, then a language token `<2xxx>` for each language, then the pieces. `</s>` and
/// the language tokens are control symbols: no text is ever encoded to them, not even the text "<2cat>".
///
/// Text is not normalised unless `data.normalization` asks for it: NFKC rewrites the target side too ("½", "…", full-width
/// forms), which a translation is then scored against. Only runs of spaces become one and those at the ends go;
/// U+2581, SentencePiece's sign for a space, comes back as one.
public final class Tokenizer: Sendable {
    // The processor is immutable after loading, and SentencePiece's const methods keep no state.
    private nonisolated(unsafe) let processor: OpaquePointer

    public let vocabularySize: Int
    public let unknown: Int32
    public let endOfSentence: Int32
    /// Every language that has a token, in the order of the ids.
    public let languages: [String]
    private let languageTokens: [String: Int32]
    /// Whether `decode` leaves a token out, by id.
    private let isControl: [Bool]

    public convenience init(modelFile: String) throws {
        var error: UnsafeMutablePointer<CChar>?
        guard let processor = sentencepiece_load_file(modelFile, &error) else {
            throw DataError(
                .tokenizer, "\(modelFile): must be a SentencePiece model, but loading it failed: \(takeMessage(error))")
        }
        try self.init(processor: processor, name: modelFile)
    }

    /// Reads a serialized model, such as `train` returns.
    public convenience init(model: Data) throws {
        var error: UnsafeMutablePointer<CChar>?
        let loaded = model.withUnsafeBytes { bytes in
            bytes.baseAddress.flatMap { sentencepiece_load_memory($0, bytes.count, &error) }
        }
        guard let processor = loaded else {
            throw DataError(
                .tokenizer,
                "the tokenizer must be a serialized SentencePiece model, but loading it failed: "
                    + takeMessage(error))
        }
        try self.init(processor: processor, name: "the tokenizer")
    }

    private init(processor: OpaquePointer, name: String) throws {
        self.processor = processor
        vocabularySize = Int(sentencepiece_vocabulary_size(processor))
        unknown = sentencepiece_unknown_id(processor)
        endOfSentence = sentencepiece_end_of_sentence_id(processor)
        var isControl: [Bool] = []
        var languages: [String] = []
        var languageTokens: [String: Int32] = [:]
        for id in 0..<Int32(vocabularySize) {
            isControl.append(sentencepiece_is_control(processor, id) != 0)
            guard isControl[Int(id)] else { continue }
            var error: UnsafeMutablePointer<CChar>?
            let piece = sentencepiece_id_to_piece(processor, id, &error).map(takeMessage) ?? ""
            guard piece.hasPrefix("<2"), piece.hasSuffix(">") else { continue }
            let language = String(piece.dropFirst(2).dropLast())
            languages.append(language)
            languageTokens[language] = id
        }
        self.isControl = isControl
        self.languages = languages
        self.languageTokens = languageTokens
        guard endOfSentence >= 0, unknown >= 0 else {
            throw DataError(
                .tokenizer, "\(name): must have an unknown token and </s>, but lacks one: train it with strata prepare")
        }
    }

    deinit { sentencepiece_free(processor) }

    /// What encodes by remembering up to so many words; nil if there is no memory for it.
    func makeWordCache(_ words: Int) -> OpaquePointer? { sentencepiece_word_cache_create(processor, words) }

    /// The token that says which language to translate into, put in front of source and target; nil for a language that
    /// the model was not trained for.
    public func languageToken(_ language: String) -> Int32? { languageTokens[language] }

    /// The pieces of a text, one for each token of `encode`: `▁` is a space, and what is unknown stands as it is.
    public func pieces(of text: String) -> [String] { sentencePieces(processor, text) }

    /// Whether a token is no text: a language token or `</s>`.
    public func isControl(_ token: Int32) -> Bool { isControl[Int(token)] }

    /// Whether a token is a piece of text, of which the tokenizer has a probability.
    func isText(_ token: Int32) -> Bool { sentencepiece_is_text(processor, token) != 0 }

    /// Whether its ids mean what those of another one do.
    public func hasTokens(of other: Tokenizer) -> Bool {
        vocabularySize == other.vocabularySize && (0..<Int32(vocabularySize)).allSatisfy { piece($0) == other.piece($0) }
    }

    /// The logarithm of a piece's probability.
    func score(_ token: Int32) -> Float { sentencepiece_score(processor, token) }

    /// A token as SentencePiece writes it: `▁` is a space.
    public func piece(_ token: Int32) -> String {
        var error: UnsafeMutablePointer<CChar>?
        guard let piece = sentencepiece_id_to_piece(processor, token, &error) else {
            preconditionFailure("\(token) is no token of a vocabulary of \(vocabularySize): \(takeMessage(error))")
        }
        return takeMessage(piece)
    }

    /// The text's tokens, without language token and `</s>`.
    public func encode(_ text: String) -> [Int32] {
        var text = text
        return text.withUTF8 { utf8 in
            utf8.withMemoryRebound(to: CChar.self) { bytes in
                var ids: UnsafeMutablePointer<Int32>?
                var error: UnsafeMutablePointer<CChar>?
                let count = sentencepiece_encode(processor, bytes.baseAddress, bytes.count, &ids, &error)
                precondition(count >= 0, "a loaded model must encode any text: \(takeMessage(error))")
                defer { sentencepiece_release(ids) }
                return Array(UnsafeBufferPointer(start: ids, count: Int(count)))
            }
        }
    }

    /// The text of tokens. Control tokens and ids outside the vocabulary are left out; the unknown token reads " ⁇ ".
    public func decode(_ tokens: some Sequence<Int32>) -> String {
        let pieces = tokens.filter { $0 >= 0 && $0 < Int32(vocabularySize) && !isControl[Int($0)] }
        var count = 0
        var error: UnsafeMutablePointer<CChar>?
        let text = sentencepiece_decode(processor, pieces, pieces.count, &count, &error)
        guard let text else { preconditionFailure("known ids must decode: \(takeMessage(error))") }
        defer { sentencepiece_release(text) }
        return text.withMemoryRebound(to: UInt8.self, capacity: count) {
            String(decoding: UnsafeBufferPointer(start: $0, count: count), as: UTF8.self)
        }
    }
}

/// The text of a message that the C side gave, which is released.
func takeMessage(_ message: UnsafeMutablePointer<CChar>?) -> String {
    guard let message else { return "unknown error" }
    defer { sentencepiece_release(message) }
    return String(cString: message)
}
