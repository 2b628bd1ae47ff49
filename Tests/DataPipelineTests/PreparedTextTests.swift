import Foundation
import Testing

@testable import DataPipeline

/// What `prepare` says of the text, and what it does to data that runs were trained on.
@Suite struct PreparedTextTests {
    private let folder = ScratchFolder()

    @discardableResult
    private func prepare(
        force: Bool = false, _ change: (inout DataConfiguration) -> Void = { _ in }
    ) throws -> PreparationReport {
        var configuration = folder.configuration()
        change(&configuration)
        return try PreparedCorpus.prepare(configuration: configuration, force: force)
    }

    @Test func linesThatEndWithCarriageReturnsAloneAreRefused() throws {
        folder.writeMoses()
        let text = String(repeating: "das Haus\r", count: 60)
        folder.write("text/train.en-de.de", text)
        expectError(.text, "train.en-de.de: its lines must end with LF, but end with CR alone", "tr '") { try prepare() }
        folder.write("text/train.en-de.en", String(repeating: "the house\r", count: 60))
        expectError(.text, "train.en-de.en: its lines must end with LF") { try prepare() }
        // More than a line may hold is no other case.
        for language in ["en", "de"] { folder.write("text/train.en-de.\(language)", String(repeating: text, count: 3000)) }
        expectError(.text, "train.en-de.en: its lines must end with LF") { try prepare() }
    }

    @Test func aSingleLineWithoutCarriageReturnsIsALine() throws {
        folder.writeMoses()
        folder.write("text/test.en-de.en", "one\r\n")
        folder.write("text/test.en-de.de", "eins\r")
        #expect(try prepare().manifest.parts.first { $0.split == .test }?.count == 1)
    }

    @Test func heldOutPairsThatAreTrainedOnAreCounted() throws {
        folder.writeMoses()
        #expect(try prepare().remarks.isEmpty)
        let other = (0..<3).map { "other \($0)\n" }.joined()
        // Lines 0 and 1 of both sides, line 2 of one side alone, and a line of the other language's text.
        folder.write("text/test.en-de.en", folder.lines(3, "house") + other + folder.lines(1, "Haus"))
        folder.write("text/test.en-de.de", folder.lines(2, "Haus") + "anders\n" + other + "anders\n")
        let report = try prepare()
        let test = try #require(report.manifest.parts.first { $0.split == .test })
        #expect(test.copies == 2 && test.sharedSides == 1 && test.count == 7)
        let remark =
            "test of en-de: 2 of the 7 pairs are in the training text too; of 1 others one side is in the training text"
        #expect(report.remarks == [remark])
        #expect(try prepare().remarks == [remark], "also when there is nothing to do")
    }

    @Test func dataThatRunsWereTrainedOnAreKept() throws {
        folder.writeMoses()
        let path = try prepare().path
        let run = folder.write("runs/one/config.yaml", "").replacing("/config.yaml", with: "")
        for _ in 0..<2 { try PreparedCorpus(path: path).recordRun(run) }
        try PreparedCorpus(path: path).recordRun("\(folder.path)/runs/gone")
        #expect(try prepare().alreadyPrepared)
        let fingerprint = try PreparedCorpus(path: path).fingerprint
        expectError(.configuration, "prepared: must be", "but \(run) was;", "--force", "data.prepared") {
            try prepare { $0.vocabulary = 70 }
        }
        #expect(try PreparedCorpus(path: path).fingerprint == fingerprint)
        // Damaged data are made anew as they were, and the run is still known.
        folder.write("prepared/train.en-de.en.tokens", "")
        #expect(try !prepare().alreadyPrepared)
        expectError(.configuration, run) { try prepare { $0.vocabulary = 70 } }
        let forced = try prepare(force: true) { $0.vocabulary = 70 }
        #expect(!forced.alreadyPrepared && forced.manifest.fingerprint != fingerprint)
        // The new data have no runs; those that are gone keep nobody.
        try PreparedCorpus(path: path).recordRun("\(folder.path)/runs/gone")
        #expect(try !prepare().alreadyPrepared)
    }

    @Test func textThatChangedSinceIsNamed() throws {
        folder.writeMoses()
        let corpus = try PreparedCorpus(path: prepare().path)
        let configuration = folder.configuration()
        #expect(corpus.changedText(configuration).isEmpty)
        // Written again, but the same.
        folder.writeMoses()
        #expect(corpus.changedText(configuration).isEmpty)
        let path = folder.write("text/train.en-de.de", folder.lines(60, "Maus"))
        #expect(corpus.changedText(configuration) == [path], "of the same size")
        folder.write("text/train.en-de.de", folder.lines(61, "Haus"))
        #expect(corpus.changedText(configuration) == [path])
        try FileManager.default.removeItem(atPath: "\(folder.path)/text")
        #expect(corpus.changedText(configuration).isEmpty, "text that is not there cannot be compared")
    }

    @Test func manifestsOfBeforeAreRead() throws {
        folder.writeMoses()
        let path = try prepare().path
        let manifest = try String(contentsOfFile: "\(path)/manifest.json", encoding: .utf8)
        for key in ["longKept", "copies", "sharedSides"] {
            #expect(!manifest.contains(key), "what is not there is not written")
        }
    }
}
