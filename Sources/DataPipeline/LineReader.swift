import Foundation

/// Reads text line by line, in bounded memory whatever the input: the one reader of lines.
///
/// Only LF ends a line (NEL, U+2028 and the like are text); one CR before it is dropped, the last line may lack its LF, and a
/// byte order mark at the start is no part of the text. Bytes that are no UTF-8 become U+FFFD, and a line longer than
/// `maximumBytes` is cut at a character: `TextLine.mending` says so, and the caller decides what to do about it. Every line
/// of the input gives one line.
public final class LineReader {
    /// A longer line is no sentence.
    public static let maximumBytes = 1 << 20
    private static let chunk = 1 << 18

    /// The path, or another name for messages.
    public let name: String
    /// The longest line, in bytes, that is given whole.
    public let maximumBytes: Int
    /// Lines given so far: after `next`, the number of the line given, counted from 1.
    public private(set) var number = 0
    private var firstLineHasCarriageReturn = false

    private let source: any ByteSource
    private let capacity: Int
    private let buffer: UnsafeMutablePointer<UInt8>
    /// What was read and not given yet: `begin ..< end` of the buffer, of which `begin ..< searched` has no LF.
    private var begin = 0
    private var searched = 0
    private var end = 0
    private var atEnd = false
    /// The first bytes of a line that is too long, whose rest is passed over.
    private var cutLine: String?
    private var cutMending: TextLine.Mending = []

    init(source: any ByteSource, name: String, maximumBytes: Int = LineReader.maximumBytes) {
        precondition(maximumBytes >= 8, "a line must have room for a byte order mark and a character")
        (self.source, self.name, self.maximumBytes) = (source, name, maximumBytes)
        capacity = maximumBytes + 2 + Self.chunk
        buffer = .allocate(capacity: capacity)
    }

    /// Lines of a file, decompressed if its name ends in `.gz` or `.zst`.
    ///
    /// - Throws: `DataError` for a file that cannot be opened, as do reads that fail.
    public convenience init(path: String, maximumBytes: Int = LineReader.maximumBytes) throws {
        self.init(source: try Compression.open(path), name: path, maximumBytes: maximumBytes)
    }

    /// Lines of an open descriptor, such as standard input; it is not closed.
    public convenience init(descriptor: Int32, name: String, maximumBytes: Int = LineReader.maximumBytes) {
        self.init(source: DescriptorBytes(descriptor: descriptor, name: name), name: name, maximumBytes: maximumBytes)
    }

    deinit { buffer.deallocate() }

    /// Whether the text, read to its end, is one line only because CR alone ends its lines, as old Macintosh programs wrote them.
    var hasCarriageReturnsForLineEnds: Bool { number == 1 && firstLineHasCarriageReturn }

    /// - Throws: `DataError.text` for a text, read to its end, whose lines end with CR alone.
    func checkLineEnds() throws {
        guard hasCarriageReturnsForLineEnds else { return }
        throw DataError(
            .text,
            "\(name): its lines must end with LF, but end with CR alone, which makes it one line: convert it, for instance with "
                + "tr '\\r' '\\n'")
    }

    /// The next line; nil at the end. Waits until a whole line has arrived.
    public func next() throws -> TextLine? { try next { true } }

    /// The next line if it has arrived as a whole, or nil: at the end too. Never waits.
    public func nextArrived() throws -> TextLine? { try next { source.isReady } }

    /// What a caller that takes the line as it is should tell its user.
    public func warnings(_ line: TextLine) -> [String] {
        var faults: [String] = []
        if line.mending.contains(.invalidUTF8) {
            faults.append("must be valid UTF-8, but is not: other bytes are read as U+FFFD")
        }
        if line.mending.contains(.cut) {
            faults.append("must be at most \(maximumBytes) bytes, but is longer: only its begin is read")
        }
        return faults.map { "\(name):\(line.number): \($0)" }
    }

    private func next(mayRead: () -> Bool) throws -> TextLine? {
        while true {
            if let found = memchr(buffer + searched, 0x0A, end - searched) {
                let newline = found.assumingMemoryBound(to: UInt8.self) - buffer
                defer { (begin, searched) = (newline + 1, newline + 1) }
                return give(lineEnd: newline)
            }
            searched = end
            // The line may yet end with CR and LF, which are not part of it.
            if end - begin > maximumBytes + 1 { passOver() }
            if atEnd {
                guard begin < end || cutLine != nil else { return nil }
                defer { begin = end }
                return give(lineEnd: end)
            }
            guard mayRead() else { return nil }
            try fill()
        }
    }

    /// Keeps the first bytes of a line that is too long, and drops what else of it was read.
    private func passOver() {
        if cutLine == nil { (cutLine, cutMending) = text(begin, end) }
        begin = end
    }

    /// Moves what is left to the front of the buffer and reads behind it.
    private func fill() throws {
        if begin > 0 {
            memmove(buffer, buffer + begin, end - begin)
            (searched, end, begin) = (searched - begin, end - begin, 0)
        }
        let room = UnsafeMutableRawBufferPointer(start: buffer + end, count: min(Self.chunk, capacity - end))
        let count = try source.read(into: room)
        end += count
        atEnd = count == 0
    }

    private func give(lineEnd: Int) -> TextLine {
        let last = lineEnd > begin && buffer[lineEnd - 1] == 0x0D ? lineEnd - 1 : lineEnd
        let (text, mending) = cutLine.map { ($0, cutMending) } ?? text(begin, last)
        (cutLine, cutMending) = (nil, [])
        if number == 0 { firstLineHasCarriageReturn = text.utf8.contains(0x0D) }
        number += 1
        return TextLine(text: text, number: number, mending: mending)
    }

    /// The text of bytes of a line from its start on.
    private func text(_ first: Int, _ last: Int) -> (String, TextLine.Mending) {
        var (first, last) = (first, last)
        var mending: TextLine.Mending = []
        if last - first > maximumBytes {
            mending.insert(.cut)
            last = first + maximumBytes
            // No character is torn: the byte after the last one kept begins one.
            for _ in 0..<3 where buffer[last] & 0xC0 == 0x80 { last -= 1 }
        }
        if number == 0, last - first >= 3, buffer[first] == 0xEF, buffer[first + 1] == 0xBB, buffer[first + 2] == 0xBF {
            mending.insert(.byteOrderMark)
            first += 3
        }
        let bytes = UnsafeBufferPointer(start: buffer + first, count: last - first)
        if let text = String(validating: bytes, as: UTF8.self) { return (text, mending) }
        return (String(decoding: bytes, as: UTF8.self), mending.union(.invalidUTF8))
    }
}
