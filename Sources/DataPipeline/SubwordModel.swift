import CSentencePiece

/// A SentencePiece model of any kind, for the pieces that it cuts text into. Safe to use from several threads at once.
public final class SubwordModel: Sendable {
    // The processor is immutable after loading, and SentencePiece's const methods keep no state.
    private nonisolated(unsafe) let processor: OpaquePointer

    /// - Throws: `DataError` if the file is no such model.
    public init(file: String) throws {
        var error: UnsafeMutablePointer<CChar>?
        guard let processor = sentencepiece_load_file(file, &error) else {
            throw DataError(.tokenizer, "\(file): must be a SentencePiece model, but loading it failed: \(takeMessage(error))")
        }
        self.processor = processor
    }

    deinit { sentencepiece_free(processor) }

    /// The pieces of a text as SentencePiece writes them: `▁` is a space, and what is not in the vocabulary stands as it is.
    public func pieces(of text: String) -> [String] { sentencePieces(processor, text) }
}

/// The pieces of a text, as above.
func sentencePieces(_ processor: OpaquePointer, _ text: String) -> [String] {
    var text = text
    return text.withUTF8 { utf8 in
        utf8.withMemoryRebound(to: CChar.self) { bytes in
            var pieces: UnsafeMutablePointer<CChar>?
            var count = 0
            var error: UnsafeMutablePointer<CChar>?
            let status = sentencepiece_encode_as_pieces(processor, bytes.baseAddress, bytes.count, &pieces, &count, &error)
            precondition(status == 0, "a loaded model must encode any text: \(takeMessage(error))")
            defer { sentencepiece_release(pieces) }
            guard let pieces, count > 0 else { return [] }
            return pieces.withMemoryRebound(to: UInt8.self, capacity: count) {
                UnsafeBufferPointer(start: $0, count: count).split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            }
        }
    }
}
