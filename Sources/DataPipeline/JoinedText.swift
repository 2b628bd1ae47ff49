/// Several corpora's text of one pair, one after the other; lines are numbered through all of it.
struct JoinedText: PairSource {
    let corpora: [any PairSource]
    var files: [String] { corpora.flatMap(\.files) }

    func makeReader() throws -> any PairReader { JoinedReader(corpora) }
}

private final class JoinedReader: PairReader {
    private var waiting: ArraySlice<any PairSource>
    /// Each with the lines before it.
    private var readers: [(before: Int, reader: any PairReader)] = []
    private var last = 0

    init(_ corpora: [any PairSource]) { waiting = corpora[...] }

    func next() throws -> LinePair? {
        while true {
            if let (before, reader) = readers.last, let pair = try reader.next() {
                last = before + pair.number
                return LinePair(number: last, source: pair.source, target: pair.target, malformed: pair.malformed)
            }
            guard let text = waiting.popFirst() else { return nil }
            readers.append((last, try text.makeReader()))
        }
    }

    func location(_ number: Int, _ side: LinePair.Side) -> String {
        let (before, reader) = readers[corpus(number)]
        return reader.location(number - before, side)
    }

    func corpus(_ number: Int) -> Int { readers.lastIndex { $0.before < number } ?? 0 }
}

/// Text whose two sides change places.
struct ReversedText: PairSource {
    let text: any PairSource
    var files: [String] { text.files }

    func makeReader() throws -> any PairReader { ReversedReader(reader: try text.makeReader()) }
}

private final class ReversedReader: PairReader {
    private let reader: any PairReader

    init(reader: any PairReader) { self.reader = reader }

    func next() throws -> LinePair? {
        try reader.next().map {
            LinePair(number: $0.number, source: $0.target, target: $0.source, malformed: $0.malformed)
        }
    }

    func location(_ number: Int, _ side: LinePair.Side) -> String {
        reader.location(number, side == .source ? .target : .source)
    }
}
