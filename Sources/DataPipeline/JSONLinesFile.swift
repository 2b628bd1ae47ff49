import Foundation

/// Where the two sides of a pair are in a JSON object: names of fields, or paths such as `translation.en`. `<src>` and `<tgt>`
/// stand for the languages.
public struct FieldNames: Equatable, Sendable {
    public var source = "<src>"
    public var target = "<tgt>"

    public init() {}

    /// The paths of a pair's sides, name by name.
    func paths(_ pair: Direction) -> (source: [String], target: [String]) {
        func path(_ name: String) -> [String] {
            name.replacing("<src>", with: pair.source).replacing("<tgt>", with: pair.target).split(separator: ".").map(
                String.init)
        }
        return (path(source), path(target))
    }
}

/// One file whose lines are JSON objects that hold both sides.
struct JSONLinesFile: PairSource {
    let path: String
    let pair: Direction
    let fields: FieldNames
    var files: [String] { [path] }

    func makeReader() throws -> any PairReader {
        JSONLinesReader(file: try LineReader(path: path), paths: fields.paths(pair))
    }
}

private final class JSONLinesReader: PairReader {
    private let file: LineReader
    private let paths: (source: [String], target: [String])

    init(file: LineReader, paths: (source: [String], target: [String])) { (self.file, self.paths) = (file, paths) }

    func next() throws -> LinePair? {
        guard let line = try file.next() else {
            try file.checkLineEnds()
            return nil
        }
        // A line without any text is an empty pair, not a malformed one.
        guard line.mending.isDisjoint(with: [.invalidUTF8, .cut]), !line.isBlank else {
            return LinePair(number: line.number, source: line, target: line)
        }
        let object = try? JSONSerialization.jsonObject(with: Data(line.text.utf8))
        guard object is [String: Any] else { return malformed(line, "must be a JSON object, but is not") }
        guard let source = text(object, paths.source) else { return malformed(line, fault(paths.source)) }
        guard let target = text(object, paths.target) else { return malformed(line, fault(paths.target)) }
        return LinePair(
            number: line.number, source: TextLine(text: source, number: line.number),
            target: TextLine(text: target, number: line.number))
    }

    func location(_ number: Int, _ side: LinePair.Side) -> String { "\(file.name):\(number)" }

    /// The text at a path, in one line as all text is: line ends within it become spaces.
    private func text(_ object: Any?, _ path: [String]) -> String? {
        var value = object
        for name in path { value = (value as? [String: Any])?[name] }
        guard let text = value as? String else { return nil }
        guard text.utf8.contains(where: { $0 == 0x0A || $0 == 0x0D }) else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.map { $0 == "\n" || $0 == "\r" ? " " : $0 }))
    }

    private func fault(_ path: [String]) -> String {
        "must have text in the field \(path.joined(separator: ".")) (data.fields), but has none"
    }

    private func malformed(_ line: TextLine, _ fault: String) -> LinePair {
        LinePair(number: line.number, source: line, target: line, malformed: fault)
    }
}
