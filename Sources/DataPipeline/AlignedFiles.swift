/// Two files aligned line by line, as Moses and OPUS-100 have them.
struct AlignedFiles: PairSource {
    let source: String
    let target: String

    var files: [String] { [source, target] }

    func makeReader() throws -> any PairReader {
        AlignedFilesReader(source: try LineReader(path: source), target: try LineReader(path: target))
    }
}

private final class AlignedFilesReader: PairReader {
    private let source: LineReader
    private let target: LineReader

    init(source: LineReader, target: LineReader) {
        self.source = source
        self.target = target
    }

    /// Throws at the shorter file's end if the other goes on: which lines belong together is not known then.
    func next() throws -> LinePair? {
        let sourceLine = try source.next()
        let targetLine = try target.next()
        if let sourceLine, let targetLine {
            return LinePair(number: source.number, source: sourceLine, target: targetLine)
        }
        while try source.next() != nil {}
        while try target.next() != nil {}
        for file in [source, target] { try file.checkLineEnds() }
        if sourceLine == nil && targetLine == nil { return nil }
        throw DataError(
            .text,
            "\(source.name) and \(target.name) must have as many lines as each other, but have \(source.number) and "
                + "\(target.number): align the files line by line")
    }

    func location(_ number: Int, _ side: LinePair.Side) -> String {
        "\(side == .source ? source.name : target.name):\(number)"
    }
}
