import Foundation
import Testing

@testable import DataPipeline

@Suite struct LineReaderTests {
    private func lines(_ bytes: Data, maximumBytes: Int = LineReader.maximumBytes) throws -> [TextLine] {
        let folder = ScratchFolder()
        let reader = try LineReader(path: folder.write("file", bytes), maximumBytes: maximumBytes)
        var lines: [TextLine] = []
        while let line = try reader.next() {
            lines.append(line)
            #expect(reader.number == lines.count && line.number == lines.count)
        }
        #expect(try reader.next() == nil)
        return lines
    }

    private func texts(_ text: String) throws -> [String] {
        try lines(Data(text.utf8)).map { line in
            #expect(line.mending.subtracting(.byteOrderMark).isEmpty)
            return line.text
        }
    }

    @Test func onlyLineFeedsEndLines() throws {
        let odd = "a\u{2028}b\u{2029}c\u{85}d\u{B}e\u{C}f\rg\u{0}h"
        #expect(try texts("\(odd)\nnext\n") == [odd, "next"])
    }

    @Test func endsOfLinesAndFile() throws {
        #expect(try texts("") == [])
        #expect(try texts("\n") == [""])
        #expect(try texts("a\nb") == ["a", "b"])
        #expect(try texts("a\r\nb\r\n") == ["a", "b"])
        #expect(try texts("a\r\nb\r") == ["a", "b"])
        #expect(try texts("a\r\r\n").map { Array($0.utf8) } == [[0x61, 0x0D]])
        #expect(try texts("\u{FEFF}a\n\u{FEFF}b") == ["a", "\u{FEFF}b"])
        #expect(try lines(Data("\u{FEFF}a\nb".utf8)).map(\.mending) == [.byteOrderMark, []])
    }

    @Test func blanksOfEveryKind() throws {
        let blank = ["", " ", "\t", "\u{A0}\u{3000}", "\u{2028}\u{85}", "\r", "\u{200A}"]
        #expect(try lines(Data(blank.joined(separator: "\n").utf8)).allSatisfy(\.isBlank))
        #expect(try !lines(Data("\u{3000}x\n".utf8))[0].isBlank)
    }

    @Test func bytesThatAreNoTextAreReplacedAndSaid() throws {
        let read = try lines(Data([0x61, 0xFF, 0x0A, 0x62, 0x0A, 0xC3, 0x0A]))
        #expect(read.map(\.text) == ["a\u{FFFD}", "b", "\u{FFFD}"])
        #expect(read.map(\.mending) == [.invalidUTF8, [], .invalidUTF8])
    }

    @Test func linesAcrossChunksAreWhole() throws {
        let long = (0..<400).map { String(repeating: "x\($0)é", count: 1 + $0 * 7 % 600) }
        #expect(try texts(long.joined(separator: "\n")) == long)
    }

    @Test func linesThatAreTooLongAreCut() throws {
        let limit = LineReader.maximumBytes
        for extra in [1, 2, 5, limit, 3 * limit] {
            let long = String(repeating: "y", count: limit + extra), kept = String(repeating: "y", count: limit)
            let read = try lines(Data("a\n\(long)\nb\n\(long)".utf8))
            #expect(read.map(\.text) == ["a", kept, "b", kept])
            #expect(read.map(\.mending) == [[], .cut, [], .cut])
        }
        let just = String(repeating: "y", count: limit)
        #expect(try texts("\(just)\nb") == [just, "b"])
        #expect(try texts("\(just)\r\nb\r\n\(just)") == [just, "b", just])
    }

    @Test func aCutTearsNoCharacter() throws {
        for shift in 0..<4 {
            let line = String(repeating: "x", count: shift) + String(repeating: "😀", count: 50)
            let read = try lines(Data("\(line)\nz".utf8), maximumBytes: 16)
            #expect(read.map(\.mending) == [.cut, []] && read[1].text == "z")
            #expect(line.hasPrefix(read[0].text) && (13...16).contains(read[0].text.utf8.count), "\(read[0].text)")
        }
        // What is no UTF-8 has no characters to tear: all that fits is kept.
        let read = try lines(Data(repeating: 0x80, count: 100), maximumBytes: 16)
        #expect(read.count == 1 && read[0].mending == [.cut, .invalidUTF8] && read[0].text.unicodeScalars.count >= 13)
    }

    @Test func warningsNameTheLine() throws {
        let folder = ScratchFolder()
        let reader = try LineReader(
            path: folder.write("file", Data("good\n".utf8) + Data([0xFF, 0x0A]) + Data(repeating: 0x61, count: 99)),
            maximumBytes: 16)
        var warnings: [[String]] = []
        while let line = try reader.next() { warnings.append(reader.warnings(line)) }
        #expect(warnings.map(\.count) == [0, 1, 1])
        #expect(warnings[1][0].hasPrefix("\(folder.path)/file:2: must be valid UTF-8, but is not"))
        #expect(warnings[2][0].hasPrefix("\(folder.path)/file:3: must be at most 16 bytes, but is longer"))
    }

    /// A pipe whose writer goes on by and by.
    private final class Pipe {
        let reader: LineReader
        let ends: [Int32]

        init(nonBlocking: Bool = false) {
            var ends: [Int32] = [-1, -1]
            precondition(pipe(&ends) == 0)
            if nonBlocking { _ = fcntl(ends[0], F_SETFL, O_NONBLOCK) }
            self.ends = ends
            reader = LineReader(descriptor: ends[0], name: "a pipe")
        }

        func send(_ text: String) { Self.send(text, ends[1]) }
        static func send(_ text: String, _ end: Int32) {
            _ = Array(text.utf8).withUnsafeBytes { write(end, $0.baseAddress, $0.count) }
        }
        func endWriting() { close(ends[1]) }
        deinit { close(ends[0]) }
    }

    @Test func whatHasArrivedIsGivenWithoutWaitingForMore() throws {
        let pipe = Pipe()
        #expect(try pipe.reader.nextArrived() == nil)
        pipe.send("one\ntwo\nthr")
        #expect(try pipe.reader.next()?.text == "one", "the writer has not ended: next must not wait for more than a line")
        #expect(try pipe.reader.nextArrived()?.text == "two")
        #expect(try pipe.reader.nextArrived() == nil, "half a line has not arrived")
        pipe.send("ee\n")
        #expect(try pipe.reader.nextArrived()?.text == "three")
        pipe.send("end")
        #expect(try pipe.reader.nextArrived() == nil)
        pipe.endWriting()
        #expect(try pipe.reader.nextArrived() == TextLine(text: "end", number: 4))
        #expect(try pipe.reader.nextArrived() == nil)
        #expect(try pipe.reader.next() == nil)
    }

    @Test func aDescriptorThatDoesNotWaitIsWaitedFor() throws {
        let pipe = Pipe(nonBlocking: true)
        let end = pipe.ends[1]
        let writer = Thread {
            usleep(50_000)
            Pipe.send("late\n", end)
            close(end)
        }
        writer.start()
        #expect(try pipe.reader.next()?.text == "late")
        #expect(try pipe.reader.next() == nil)
    }

    @Test func unreadableFilesAreErrors() {
        let folder = ScratchFolder()
        expectError(.inputOutput, "\(folder.path)/none", "No such file") { _ = try LineReader(path: "\(folder.path)/none") }
        expectError(.inputOutput, folder.path) { _ = try LineReader(path: folder.path).next() }
        expectError(.inputOutput, "standard input: reading failed") {
            _ = try LineReader(descriptor: -1, name: "standard input").next()
        }
    }
}
