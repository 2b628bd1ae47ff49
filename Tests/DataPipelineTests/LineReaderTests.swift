import Foundation
import Testing

@testable import DataPipeline

@Suite struct LineReaderTests {
    private func lines(_ bytes: Data) throws -> [LineReader.Line] {
        let folder = ScratchFolder()
        let reader = try LineReader(path: folder.write("file", bytes))
        var lines: [LineReader.Line] = []
        while let line = try reader.next() {
            lines.append(line)
            #expect(reader.number == lines.count)
        }
        #expect(try reader.next() == nil)
        return lines
    }

    private func texts(_ text: String) throws -> [LineReader.Line] { try lines(Data(text.utf8)) }

    @Test func onlyLineFeedsEndLines() throws {
        let odd = "a\u{2028}b\u{2029}c\u{85}d\u{B}e\u{C}f\rg\u{0}h"
        #expect(try texts("\(odd)\nnext\n") == [.text(odd), .text("next")])
    }

    @Test func endsOfLinesAndFile() throws {
        #expect(try texts("") == [])
        #expect(try texts("\n") == [.text("")])
        #expect(try texts("a\nb") == [.text("a"), .text("b")])
        #expect(try texts("a\r\nb\r\n") == [.text("a"), .text("b")])
        #expect(try texts("a\r\r\n") == [.text("a\r")])
        #expect(try texts("\u{FEFF}a\n\u{FEFF}b") == [.text("a"), .text("\u{FEFF}b")])
    }

    @Test func invalidTextIsToldFromText() throws {
        #expect(try lines(Data([0x61, 0xFF, 0x0A, 0x62, 0x0A, 0xC3, 0x0A])) == [.invalid, .text("b"), .invalid])
    }

    @Test func linesAcrossChunksAreWhole() throws {
        let long = (0..<400).map { String(repeating: "x\($0)é", count: 1 + $0 * 7 % 600) }
        #expect(try texts(long.joined(separator: "\n")) == long.map(LineReader.Line.text))
    }

    @Test func overlongLinesAreBounded() throws {
        let limit = LineReader.maximumBytes
        for extra in [1, 5, limit, 3 * limit] {
            let long = String(repeating: "y", count: limit + extra)
            #expect(try texts("a\n\(long)\nb\n\(long)") == [.text("a"), .overlong, .text("b"), .overlong])
        }
        let just = String(repeating: "y", count: limit)
        #expect(try texts("\(just)\nb") == [.text(just), .text("b")])
    }

    @Test func unreadableFilesAreErrors() {
        let folder = ScratchFolder()
        expectError(.inputOutput, "\(folder.path)/none", "No such file") { _ = try LineReader(path: "\(folder.path)/none") }
        expectError(.inputOutput, folder.path) { _ = try LineReader(path: folder.path).next() }
    }
}
