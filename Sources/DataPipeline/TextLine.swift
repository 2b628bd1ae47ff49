/// A line of text as it was read.
public struct TextLine: Equatable, Sendable {
    /// What was done to a line's bytes to make them text of bounded length.
    public struct Mending: OptionSet, Hashable, Sendable {
        public let rawValue: UInt8

        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// The byte order mark at the start of the input was left out: no part of the text.
        public static let byteOrderMark = Mending(rawValue: 1)
        /// Bytes that are no UTF-8 became U+FFFD.
        public static let invalidUTF8 = Mending(rawValue: 2)
        /// The line was longer than the reader's `maximumBytes`: only its first characters were kept.
        public static let cut = Mending(rawValue: 4)
    }

    /// Without the end of the line.
    public let text: String
    /// Counted from 1.
    public let number: Int
    public let mending: Mending

    public init(text: String, number: Int, mending: Mending = []) {
        (self.text, self.number, self.mending) = (text, number, mending)
    }

    /// True for a line without anything but white space of any kind.
    public var isBlank: Bool { DataPipeline.isBlank(text) }
}

/// True for text without anything but white space.
func isBlank(_ text: String) -> Bool { text.unicodeScalars.allSatisfy(\.properties.isWhitespace) }
