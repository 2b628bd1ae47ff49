import Foundation
import Testing

@testable import DataPipeline

@Suite struct PreparedCorpusTests {
    private let folder = ScratchFolder()
    private let path: String

    init() throws {
        folder.writeMoses()
        path = try PreparedCorpus.prepare(configuration: folder.configuration()).path
    }

    private func bytes(_ name: String) -> Data { FileManager.default.contents(atPath: "\(path)/\(name)")! }

    private var files: [String] { try! FileManager.default.contentsOfDirectory(atPath: path).sorted() }

    @Test func everyMissingFileIsNamed() throws {
        #expect(files.count == 1 + 1 + 3 * 4 + 2 * 2)
        for name in files {
            let content = bytes(name)
            try FileManager.default.removeItem(atPath: "\(path)/\(name)")
            expectError(.prepared, name, "strata prepare CONFIG") { _ = try PreparedCorpus(path: path) }
            folder.write("prepared/\(name)", content)
        }
        try PreparedCorpus(path: path).verify()
    }

    @Test func everyTruncatedFileIsNamed() throws {
        for name in files {
            let content = bytes(name)
            for length in [0, content.count / 2, content.count - 1] {
                folder.write("prepared/\(name)", content.prefix(length))
                expectError(.prepared, name, "strata prepare CONFIG") { _ = try PreparedCorpus(path: path) }
            }
            folder.write("prepared/\(name)", content)
        }
    }

    @Test func everyFlippedBitIsFound() throws {
        for name in files {
            let content = bytes(name)
            for position in [0, content.count / 3, content.count - 1] {
                var damaged = content
                damaged[position] ^= 4
                folder.write("prepared/\(name)", damaged)
                do {
                    try PreparedCorpus(path: path).verify()
                    Issue.record("\(name) with a flipped bit at \(position) was accepted")
                } catch let error as DataError {
                    // The model is parsed before it is verified; either way the file is named.
                    #expect(error.message.contains(name) && [.prepared, .tokenizer].contains(error.kind), "\(error)")
                }
            }
            folder.write("prepared/\(name)", content)
        }
    }

    @Test func otherVersionsAndFoldersAreRefused() throws {
        let manifest = String(decoding: bytes("manifest.json"), as: UTF8.self)
        folder.write("prepared/manifest.json", manifest.replacing("\"version\" : 1", with: "\"version\" : 99"))
        expectError(.prepared, "manifest.json", "version 1", "version 99") { _ = try PreparedCorpus(path: path) }
        folder.write("prepared/manifest.json", manifest.replacing("\"count\" : 60", with: "\"count\" : 61"))
        expectError(.prepared, "manifest.json", "damaged") { _ = try PreparedCorpus(path: path) }
        expectError(.prepared, "\(folder.path)/none", "strata prepare CONFIG") {
            _ = try PreparedCorpus(path: "\(folder.path)/none")
        }
    }

    @Test func shardsThatDoNotFitTheirCountsAreRefused() throws {
        let stem = folder.path + "/s"
        var writer = try TokenShardWriter(stem: stem, width: 2)
        try writer.append([1, 2, 3])
        _ = try writer.finish()
        expectError(.prepared, "s.tokens") { _ = try TokenShard(stem: stem, count: 1, tokenCount: 4, width: 2) }
        expectError(.prepared, "s.offsets") { _ = try TokenShard(stem: stem, count: 2, tokenCount: 3, width: 2) }
        folder.write("s.offsets", Data(count: 16))
        expectError(.prepared, "s.offsets", "0 to 3", "0 to 0") {
            _ = try TokenShard(stem: stem, count: 1, tokenCount: 3, width: 2)
        }
    }
}
