import Foundation
import Testing

@testable import DataPipeline

@Suite struct CompressionTests {
    private let folder = ScratchFolder()

    private func lines(_ name: String, _ bytes: Data) throws -> [String] {
        let reader = try LineReader(path: folder.write(name, bytes))
        var lines: [String] = []
        while let line = try reader.next() { lines.append(line.text) }
        return lines
    }

    @Test(arguments: Compression.allCases) func compressedTextIsReadAsItWas(compression: Compression) throws {
        let expected = (0..<30_000).map { "line \($0) é \(String(repeating: "x", count: $0 % 50))" }
        let text = Data(expected.joined(separator: "\n").utf8)
        #expect(try lines("a.\(compression.rawValue)", CompressedText.bytes(text, as: compression)) == expected)
        // A long line of one letter: a few bytes that are megabytes of text, more than fits a buffer.
        let flat = Data(repeating: 0x79, count: 900_000) + Data("\nend".utf8)
        #expect(
            try lines("b.\(compression.rawValue)", CompressedText.bytes(flat, as: compression)).map(\.utf8.count) == [
                900_000, 3,
            ])
        #expect(try lines("c.\(compression.rawValue)", CompressedText.bytes(Data(), as: compression)).isEmpty)
    }

    @Test(arguments: Compression.allCases) func membersFollowOneAnother(compression: Compression) throws {
        let parts = ["one\ntw", "", "o\nthree\n"].map { CompressedText.bytes(Data($0.utf8), as: compression) }
        #expect(try lines("a.\(compression.rawValue)", Data(parts.joined())) == ["one", "two", "three"])
    }

    @Test(arguments: Compression.allCases) func damagedDataIsNamed(compression: Compression) throws {
        let text = Data((0..<2000).map { "line \($0 * 7919 % 1009)\n" }.joined().utf8)
        let bytes = CompressedText.bytes(text, as: compression)
        for damaged in [
            Data(), bytes.prefix(bytes.count / 2), bytes.dropLast(), Data("plain text\n".utf8), bytes + Data("junk".utf8),
        ] {
            expectError(.text, "\(folder.path)/a.\(compression.rawValue)", "damaged or something else") {
                _ = try lines("a.\(compression.rawValue)", Data(damaged))
            }
        }
    }
}
