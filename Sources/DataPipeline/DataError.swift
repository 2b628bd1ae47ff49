/// What the world got wrong about data: configuration, text, tokenizer, prepared files or the file system.
///
/// `message` says what must be, what is, where, and what to do next.
public struct DataError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: Equatable, Sendable {
        /// A value of `data.…` (or a budget that the data cannot meet) is impossible.
        case configuration
        /// A text file is missing, or a line of it cannot be used.
        case text
        /// SentencePiece could not train or load a model.
        case tokenizer
        /// A prepared folder is missing, damaged or of another version.
        case prepared
        /// The operating system refused to read or write.
        case inputOutput
    }

    public let kind: Kind
    public let message: String

    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    public var description: String { message }
}
