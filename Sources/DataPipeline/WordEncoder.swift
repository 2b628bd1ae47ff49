import CSentencePiece

/// Encodes text as its tokenizer does, some times as fast, by remembering words. For one thread at a time.
final class WordEncoder: @unchecked Sendable {
    private let tokenizer: Tokenizer
    private let cache: OpaquePointer?

    /// - Parameter words: the most that are remembered; 0 for a tokenizer that normalises text, which may join words.
    init(tokenizer: Tokenizer, words: Int) {
        self.tokenizer = tokenizer
        cache = words > 0 ? tokenizer.makeWordCache(words) : nil
    }

    deinit { sentencepiece_word_cache_free(cache) }

    /// Appends the text's tokens, without language token and `</s>`, and gives their number.
    func append(_ text: String, to tokens: inout [Int32]) -> Int {
        guard let cache else {
            let encoded = tokenizer.encode(text)
            tokens += encoded
            return encoded.count
        }
        var text = text
        return text.withUTF8 { utf8 in
            guard let base = utf8.baseAddress else { return 0 }
            return base.withMemoryRebound(to: CChar.self, capacity: utf8.count) { bytes in
                var ids: UnsafePointer<Int32>?
                var error: UnsafeMutablePointer<CChar>?
                let count = sentencepiece_word_cache_encode(cache, bytes, utf8.count, &ids, &error)
                precondition(count >= 0, "a loaded model must encode any text: \(takeMessage(error))")
                tokens.append(contentsOf: UnsafeBufferPointer(start: ids, count: Int(count)))
                return Int(count)
            }
        }
    }
}
