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
        normalization: DataConfiguration.Normalization = .none, byteFallback: Bool = false, threads: Int = 2
    ) throws -> Data {
        precondition(Set(languages).count == languages.count, "languages must be distinct")
        let specialTokens = 2 + languages.count + (byteFallback ? 256 : 0)
        guard vocabulary > specialTokens else {
            throw DataError(
                .configuration,
                "data.vocabulary must be more than the \(specialTokens) special tokens, but is \(vocabulary)")
        }
        let feed = SentenceFeed(sentences)
        guard feed.hasText else { throw feed.fault }
        let options = [
            "model_type": "unigram", "vocab_size": String(vocabulary), "hard_vocab_limit": "false",
            "character_coverage": String(characterCoverage),
            "normalization_rule_name": normalization == .none ? "identity" : normalization.rawValue,
            "byte_fallback": String(byteFallback), "num_threads": String(threads), "minloglevel": "2",
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
            throw fault(takeMessage(error), vocabulary: vocabulary)
        }
        return Data(bytesNoCopy: model, count: count, deallocator: .custom { memory, _ in sentencepiece_release(memory) })
    }

    /// What SentencePiece's message means for the user.
    private static func fault(_ message: String, vocabulary: Int) -> DataError {
        if message.contains("required_chars"), let numbers = message.firstMatch(of: /(\d+) vs (\d+)/) {
            return DataError(
                .tokenizer,
                "data.vocabulary must hold every character of the text and the special tokens, \(numbers.2) together, but is "
                    + "\(vocabulary): raise it, or lower data.character_coverage so that rare characters become unknown")
        }
        // After the place in SentencePiece's source and the condition that failed.
        let reason = message.split(separator: "] ").last.map(String.init) ?? message
        return DataError(
            .tokenizer,
            "training a tokenizer of \(vocabulary) tokens failed: the text is too little or too uniform (SentencePiece: \(reason)): "
                + "check the training files, or change data.vocabulary")
    }
}

/// Hands sentences to the C callback one at a time.
private final class SentenceFeed {
    /// Longer sentences SentencePiece leaves out.
    private static let maximumBytes = 4192

    private var iterator: AnyIterator<String>
    private var upcoming: String?
    /// Sentences that were too long.
    private var long = 0
    private var buffer = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 4096)

    init(_ sentences: some Sequence<String>) {
        var iterator = sentences.makeIterator()
        self.iterator = AnyIterator { iterator.next() }
        advance()
    }

    deinit { buffer.deallocate() }

    var hasText: Bool { upcoming != nil }

    /// Why there is no text at all.
    var fault: DataError {
        guard long > 0 else {
            return DataError(.tokenizer, "training a tokenizer takes sentences, but there are none: check the training files")
        }
        return DataError(
            .tokenizer,
            "training a tokenizer takes sentences of at most \(Self.maximumBytes) bytes, but all \(long) of the training text are "
                + "longer: split the text into sentences, one a line")
    }

    /// Goes to the next sentence that SentencePiece's trainer would use.
    private func advance() {
        while true {
            upcoming = iterator.next()
            guard let sentence = upcoming else { return }
            if sentence.utf8.count > Self.maximumBytes { long += 1 } else if isText(sentence) { return }
        }
    }

    /// U+2581 is SentencePiece's own sign for a space. On spaces alone its trainer does not fail: it ends the process. U+2585
    /// is its sign for what is unknown, and a sentence that has it is not trained on.
    private func isText(_ sentence: String) -> Bool {
        !sentence.unicodeScalars.allSatisfy { $0.properties.isWhitespace || $0 == "\u{2581}" }
            && !sentence.unicodeScalars.contains("\u{2585}")
    }

    /// The next sentence, valid until the next call; nil at the end.
    func next(_ count: inout Int) -> UnsafePointer<CChar>? {
        guard var sentence = upcoming else { return nil }
        advance()
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
