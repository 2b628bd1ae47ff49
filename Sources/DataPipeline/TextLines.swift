/// The lines of one text file, such as translations that another program made.
public enum TextLines {
    /// The lines of a file, all in memory; read as training text is.
    ///
    /// - Throws: `DataError` for a file that cannot be read, and for lines that are no text.
    public static func all(of path: String) throws -> [String] {
        let reader = try LineReader(path: path)
        var lines: [String] = []
        while let line = try reader.next() {
            guard !line.mending.contains(.invalidUTF8) else {
                throw DataError(.text, "\(path):\(line.number): must be UTF-8 text, but holds other bytes")
            }
            guard !line.mending.contains(.cut) else {
                throw DataError(.text, "\(path):\(line.number): must be at most \(reader.maximumBytes) bytes, but is longer")
            }
            lines.append(line.text)
        }
        return lines
    }
}
