/// One file whose lines are source, tab, target.
struct TabSeparatedFile: PairSource {
    let path: String
    var files: [String] { [path] }

    func makeReader() throws -> any PairReader { TabSeparatedReader(file: try LineReader(path: path)) }
}

private final class TabSeparatedReader: PairReader {
    private let file: LineReader

    init(file: LineReader) { self.file = file }

    func next() throws -> LinePair? {
        guard let line = try file.next() else { return nil }
        guard case .text(let text) = line else { return LinePair(number: file.number, source: line, target: line) }
        let columns = text.utf8.split(separator: 0x09, omittingEmptySubsequences: false)
        if columns.count == 2 {
            return LinePair(
                number: file.number, source: .text(String(Substring(columns[0]))),
                target: .text(String(Substring(columns[1]))))
        }
        // A line without any text is an empty pair, not a malformed one.
        let malformed = isBlank(text) ? nil : "must be source, tab, target, but has \(columns.count) columns"
        return LinePair(number: file.number, source: line, target: line, malformed: malformed)
    }

    func location(_ number: Int, _ side: LinePair.Side) -> String { "\(file.path):\(number)" }
}
