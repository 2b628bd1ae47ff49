/// How far a preparation is, for a display.
public struct PreparationProgress: Sendable {
    public enum Phase: String, Sendable {
        /// Checksums of the text and of what was prepared before; in files.
        case examining
        /// Every line is held to the policies; in parts.
        case reading
        /// SentencePiece trains: no steps to count, `total` is the number of sentences.
        case tokenizer
        /// In sentence pairs.
        case tokenizing
    }

    public let phase: Phase
    public let done: Int
    public let total: Int
    /// What is being worked on, such as a file or a language pair.
    public let detail: String
}

/// What a preparation did.
public struct PreparationReport: Sendable {
    /// The prepared folder.
    public let path: String
    /// The folder already held this text prepared this way, undamaged: nothing was done.
    public let alreadyPrepared: Bool
    public let manifest: PreparationManifest
    /// What the user may not expect: files that are not used, pairs and splits that are not there.
    public let remarks: [String]
}
