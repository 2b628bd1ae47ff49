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
        guard let line = try file.next() else {
            try file.checkLineEnds()
            return nil
        }
        guard line.mending.isDisjoint(with: [.invalidUTF8, .cut]) else {
            return LinePair(number: line.number, source: line, target: line)
        }
        let columns = line.text.utf8.split(separator: 0x09, omittingEmptySubsequences: false)
        if columns.count == 2 {
            let (source, target) = (String(Substring(columns[0])), String(Substring(columns[1])))
            return LinePair(
                number: line.number, source: TextLine(text: source, number: line.number),
                target: TextLine(text: target, number: line.number))
        }
        // A line without any text is an empty pair, not a malformed one.
        let malformed = line.isBlank ? nil : "must be source, tab, target, but has \(columns.count) columns"
        return LinePair(number: line.number, source: line, target: line, malformed: malformed)
    }

    func location(_ number: Int, _ side: LinePair.Side) -> String { "\(file.name):\(number)" }
}
