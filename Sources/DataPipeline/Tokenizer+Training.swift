import CSentencePiece
import Foundation

extension Tokenizer {
    /// Trains a unigram model on sentences, which are read once, and gives the serialized model.
    ///
    /// The trainer keeps every sentence in memory: the caller bounds them. Ones over 4192 bytes it ignores. The same
    /// sentences and number of threads give the same model.
    ///
    /// - Parameters:
    ///   - vocabulary: the size to aim at, special tokens included; a small corpus gives fewer (`vocabularySize` says).
    ///   - languages: those that get a token `<2xxx>`.
    ///   - characterCoverage: the share of the characters that must be in the vocabulary, 0.98 to 1; the rest become unknown.
    /// - Throws: `DataError.tokenizer` if there is no text, or the vocabulary is too small for the characters.
    public static func train(
        sentences: some Sequence<String>, vocabulary: Int, languages: [String], characterCoverage: Double = 1,
        threads: Int = 2
    ) throws -> Data {
        precondition(Set(languages).count == languages.count, "languages must be distinct")
        let specialTokens = 2 + languages.count
        guard vocabulary > specialTokens else {
            throw DataError(
                .configuration,
                "data.vocabulary must be more than the \(specialTokens) special tokens, but is \(vocabulary)")
        }
        let feed = SentenceFeed(sentences)
        guard feed.hasText else {
            throw DataError(.tokenizer, "training a tokenizer takes sentences, but there are none: check the training files")
        }
        let options = [
            "model_type": "unigram", "vocab_size": String(vocabulary), "hard_vocab_limit": "false",
            "character_coverage": String(characterCoverage), "normalization_rule_name": "identity",
            "byte_fallback": "false", "num_threads": String(threads), "minloglevel": "2",
            "unk_id": "0", "bos_id": "-1", "eos_id": "1", "pad_id": "-1",
            "control_symbols": languages.map { "<2\($0)>" }.joined(separator: ","),
        ].filter { !$0.value.isEmpty }.sorted { $0.key < $1.key }

        var count = 0
        var error: UnsafeMutablePointer<CChar>?
        let model = withCStrings(options.map(\.key)) { keys in
            withCStrings(options.map(\.value)) { values in
                withExtendedLifetime(feed) {
                    sentencepiece_train(
                        keys, values, options.count,
                        { context, count in
                            Unmanaged<SentenceFeed>.fromOpaque(context!).takeUnretainedValue().next(&count.pointee)
                        }, Unmanaged.passUnretained(feed).toOpaque(), &count, &error)
                }
            }
        }
        guard let model else {
            let reason = takeMessage(error)
            let advice =
                reason.contains("required_chars")
                ? "raise data.vocabulary, or lower data.character_coverage so that rare characters become unknown"
                : "check the training files"
            throw DataError(
                .tokenizer, "training a tokenizer of \(vocabulary) tokens failed: \(reason): \(advice)")
        }
        return Data(bytesNoCopy: model, count: count, deallocator: .custom { memory, _ in sentencepiece_release(memory) })
    }
}

/// Hands sentences to the C callback one at a time.
private final class SentenceFeed {
    private var iterator: AnyIterator<String>
    private var upcoming: String?
    private var buffer = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 4096)

    init(_ sentences: some Sequence<String>) {
        // U+2581 is SentencePiece's own sign for a space. On spaces alone its trainer does not fail: it ends the process.
        var iterator = sentences.lazy
            .filter { !$0.unicodeScalars.allSatisfy { $0.properties.isWhitespace || $0 == "\u{2581}" } }.makeIterator()
        self.iterator = AnyIterator { iterator.next() }
        upcoming = self.iterator.next()
    }

    deinit { buffer.deallocate() }

    var hasText: Bool { upcoming != nil }

    /// The next sentence, valid until the next call; nil at the end.
    func next(_ count: inout Int) -> UnsafePointer<CChar>? {
        guard var sentence = upcoming else { return nil }
        upcoming = iterator.next()
        sentence.withUTF8 { utf8 in
            count = utf8.count
            if buffer.count < count {
                buffer.deallocate()
                buffer = .allocate(capacity: 2 * count)
            }
            utf8.withMemoryRebound(to: CChar.self) { _ = buffer.update(fromContentsOf: $0) }
        }
        return UnsafePointer(buffer.baseAddress)
    }
}

private func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>>) -> Result
) -> Result {
    let copies = strings.map { strdup($0)! }
    defer { for copy in copies { free(copy) } }
    let pointers = copies.map { UnsafePointer($0) }
    return pointers.withUnsafeBufferPointer { body($0.baseAddress!) }
}
