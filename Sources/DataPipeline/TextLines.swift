/// The lines of one text file, such as translations that another program made.
public enum TextLines {
    /// All of them, in memory; read as training text is.
    ///
    /// - Throws: `DataError` for a file that cannot be read, and for lines that are no text.
    public static func all(of path: String) throws -> [String] {
        let reader = try LineReader(path: path)
        var lines: [String] = []
        while let line = try reader.next() {
            switch line {
            case let .text(text): lines.append(text)
            case .invalid: throw DataError(.text, "\(path):\(reader.number): must be UTF-8 text, but holds other bytes")
            case .overlong:
                throw DataError(
                    .text, "\(path):\(reader.number): must be at most \(LineReader.maximumBytes) bytes, but is longer")
            }
        }
        return lines
    }
}
