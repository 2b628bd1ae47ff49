/// How far a preparation is, for a display.
public struct PreparationProgress: Sendable {
    public enum Phase: String, Sendable {
        /// Checksums of the text and of what was prepared before; in files.
        case examining
        /// Every line is held to the policies; in parts.
        case reading
        /// SentencePiece trains: no steps to count, `total` is the number of sentences.
        case tokenizer
        /// Splitting text into tokens, counted in sentence pairs.
        case tokenizing
    }

    public let phase: Phase
    public let done: Int
    public let total: Int
    /// What is being worked on, such as a file or a language pair.
    public let detail: String
}

extension PreparationManifest.Part {
    /// What is to be said of a held-out part that the training text shares pairs with.
    fileprivate var remark: String? {
        guard copies != nil || sharedSides != nil else { return nil }
        let copied = copies.map { "\($0) of the \(count) pairs are in the training text too" }
        let shared = sharedSides.map { "of \($0) \(copies == nil ? "pairs" : "others") one side is in the training text" }
        return "\(split.rawValue) of \(pair): \([copied, shared].compactMap { $0 }.joined(separator: "; "))"
    }
}

/// What a preparation did.
public struct PreparationReport: Sendable {
    /// The prepared folder.
    public let path: String
    /// The folder already held this text prepared this way, undamaged: nothing was done.
    public let alreadyPrepared: Bool
    public let manifest: PreparationManifest
    /// What the user may not expect: files that are not used, pairs and splits that are not there, held-out pairs that the
    /// training text has.
    public let remarks: [String]

    init(path: String, alreadyPrepared: Bool, manifest: PreparationManifest, text: ParallelText) {
        (self.path, self.alreadyPrepared, self.manifest) = (path, alreadyPrepared, manifest)
        remarks = text.remarks + manifest.parts.compactMap(\.remark)
    }
}
