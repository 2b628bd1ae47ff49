import Foundation

/// Reads a text file line by line in bounded memory.
///
/// Only LF ends a line (NEL, U+2028 and the like are text); one CR before it is dropped, the last line may lack its LF,
/// and a byte order mark at the start of the file is no part of the text.
final class LineReader {
    enum Line: Equatable {
        case text(String)
        /// Not valid UTF-8.
        case invalid
        /// More than `LineReader.maximumBytes`; the content is not kept.
        case overlong
    }

    /// A longer line is no sentence; bounding it bounds memory whatever the file.
    static let maximumBytes = 1 << 20
    private static let chunk = 1 << 18

    let path: String
    private let descriptor: Int32
    private let buffer = UnsafeMutablePointer<UInt8>.allocate(capacity: LineReader.maximumBytes + LineReader.chunk)
    private var begin = 0
    private var end = 0
    private var atEnd = false
    /// Lines given so far: after `next`, the number of the line given, counted from 1.
    private(set) var number = 0

    init(path: String) throws {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw DataError(.inputOutput, "\(path): must be a readable file, but opening it failed: \(lastSystemError())")
        }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        buffer.deallocate()
    }

    func next() throws -> Line? {
        var searched = begin
        var overlong = false
        while true {
            if let found = memchr(buffer + searched, 0x0A, end - searched) {
                let newline = found.assumingMemoryBound(to: UInt8.self) - buffer
                defer { begin = newline + 1 }
                return give(lineEnd: newline, overlong: overlong)
            }
            if end - begin > Self.maximumBytes {
                overlong = true
                begin = end
            }
            searched = end
            if atEnd {
                guard begin < end || overlong else { return nil }
                defer { begin = end }
                return give(lineEnd: end, overlong: overlong)
            }
            let moved = begin
            try fill()
            searched -= moved
        }
    }

    /// Moves what is left to the front of the buffer and reads a chunk behind it.
    private func fill() throws {
        if begin > 0 {
            memmove(buffer, buffer + begin, end - begin)
            end -= begin
            begin = 0
        }
        while true {
            let count = read(descriptor, buffer + end, Self.chunk)
            if count > 0 {
                end += count
                return
            }
            if count == 0 {
                atEnd = true
                return
            }
            if errno == EINTR { continue }
            throw DataError(.inputOutput, "\(path): reading failed: \(lastSystemError())")
        }
    }

    private func give(lineEnd: Int, overlong: Bool) -> Line {
        number += 1
        var first = begin
        var last = lineEnd
        if overlong || last - first > Self.maximumBytes { return .overlong }
        if last > first, buffer[last - 1] == 0x0D { last -= 1 }
        if number == 1, last - first >= 3, buffer[first] == 0xEF, buffer[first + 1] == 0xBB, buffer[first + 2] == 0xBF {
            first += 3
        }
        let bytes = UnsafeBufferPointer(start: buffer + first, count: last - first)
        return String(validating: bytes, as: UTF8.self).map(Line.text) ?? .invalid
    }
}
