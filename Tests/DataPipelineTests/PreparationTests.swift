import Foundation
import Testing

@testable import DataPipeline

@Suite struct PreparationTests {
    private let folder = ScratchFolder()

    private func contents(_ path: String) -> [String: Data] {
        let names = try! FileManager.default.contentsOfDirectory(atPath: path)
        return Dictionary(uniqueKeysWithValues: names.map { ($0, FileManager.default.contents(atPath: "\(path)/\($0)")!) })
    }

    @Test func whatIsPreparedIsTheText() throws {
        folder.writeMoses()
        var phases: [String] = []
        let report = try PreparedCorpus.prepare(configuration: folder.configuration()) { progress in
            if phases.last != progress.phase.rawValue { phases.append(progress.phase.rawValue) }
            #expect(progress.done <= progress.total)
        }
        #expect(!report.alreadyPrepared)
        #expect(phases == ["examining", "reading", "tokenizer", "tokenizing"])
        let corpus = try PreparedCorpus(path: report.path)
        try corpus.verify()
        #expect(corpus.fingerprint == report.manifest.fingerprint)
        #expect(corpus.languages == ["en", "de"])
        #expect(corpus.vocabularySize == corpus.tokenizer.vocabularySize)
        let there = Direction("en-de")!
        let back = Direction("de-en")!
        #expect(corpus.directions == [there, back])
        for (split, count, en, de) in [
            (Split.train, 60, "house", "Haus"), (.valid, 5, "hose", "Hase"), (.test, 4, "shoe", "Hause"),
        ] {
            #expect(corpus.pairs(there, split) == count && corpus.pairs(back, split) == count)
            for index in 0..<count {
                let (source, target) = corpus.sentence(there, split, index)
                #expect(corpus.tokenizer.decode(source) == "\(en) \(index % 7) \(en) and \(en)s \(index)")
                #expect(corpus.tokenizer.decode(target) == "\(de) \(index % 7) \(de) and \(de)s \(index)")
                let reversed = corpus.sentence(back, split, index)
                #expect(reversed.source == target && reversed.target == source)
            }
        }
        #expect(corpus.pairs(Direction("en-fr")!, .train) == 0)
        let references = try corpus.references(back, .test)
        #expect(references.sources.count == 4 && references.references.count == 4)
        #expect(references.sources[3] == "Hause 3 Hause and Hauses 3")
        #expect(references.references[3] == "shoe 3 shoe and shoes 3")
    }

    @Test func aLanguagePairIsStoredOnce() throws {
        folder.writeMoses()
        let report = try PreparedCorpus.prepare(configuration: folder.configuration())
        #expect(report.manifest.parts.map(\.pair) == ["en-de", "en-de", "en-de"])
        let names = Set(contents(report.path).keys)
        #expect(names.isSuperset(of: ["train.en-de.en.tokens", "train.en-de.de.offsets", "test.en-de.de.text"]))
        #expect(!names.contains("train.en-de.en.text"), "training text is not kept")
        #expect(!FileManager.default.fileExists(atPath: report.path + ".partial"))
    }

    @Test func referenceTextIsVerbatim() throws {
        folder.writeMoses()
        let odd = "  two  spaces\tand\u{2028}more\u{0}\u{85} é e\u{301} "
        folder.write("text/test.en-de.en", odd + "\r\n\n<2de>")
        folder.write("text/test.en-de.de", "x\n\ny\n")
        let corpus = try PreparedCorpus(path: PreparedCorpus.prepare(configuration: folder.configuration()).path)
        let references = try corpus.references(Direction("en-de")!, .test)
        #expect(references.sources.map { Array($0.utf8) } == [Array(odd.utf8), Array("<2de>".utf8)])
        #expect(references.references == ["x", "y"])
        #expect(corpus.manifest.parts.first { $0.split == .test }?.skipped.empty == 1)
    }

    @Test func preparingAgainDoesNothing() throws {
        folder.writeMoses()
        var configuration = folder.configuration()
        configuration.prepared += "/"
        let first = try PreparedCorpus.prepare(configuration: configuration)
        let before = contents(first.path)
        let second = try PreparedCorpus.prepare(configuration: configuration)
        #expect(second.alreadyPrepared && second.manifest == first.manifest)
        // Neither does text that is the same but was written again.
        folder.writeMoses()
        #expect(try PreparedCorpus.prepare(configuration: configuration).alreadyPrepared)
        // What only sampling uses changes nothing either.
        configuration.temperature = 5
        #expect(try PreparedCorpus.prepare(configuration: configuration).alreadyPrepared)
        #expect(contents(first.path) == before)
    }

    @Test func whatDecidesTheContentDecidesTheFingerprint() throws {
        folder.writeMoses()
        var fingerprints = [try PreparedCorpus.prepare(configuration: folder.configuration()).manifest.fingerprint]
        func prepare(_ change: (inout DataConfiguration) -> Void) throws {
            var configuration = folder.configuration()
            change(&configuration)
            let report = try PreparedCorpus.prepare(configuration: configuration)
            #expect(!report.alreadyPrepared)
            fingerprints.append(report.manifest.fingerprint)
            try PreparedCorpus(path: report.path).verify()
        }
        try prepare { $0.vocabulary = 70 }
        try prepare { $0.maximumLength = 100 }
        try prepare { $0.directions = [Direction("en-de")!] }
        try prepare { $0.emptyLines = .refuse }
        try prepare { $0.tokenizerSentences = 50 }
        folder.write("text/valid.en-de.en", folder.lines(5, "other"))
        try prepare { _ in }
        #expect(Set(fingerprints).count == fingerprints.count)
    }

    @Test func theResultDependsOnNeitherThreadsNorPlace() throws {
        let other = ScratchFolder()
        var configuration = folder.configuration(.numerals, vocabulary: 200)
        let one = try PreparedCorpus.prepare(configuration: configuration, threads: 1)
        configuration.prepared = other.path + "/deep/er/prepared"
        let three = try PreparedCorpus.prepare(configuration: configuration, threads: 3)
        #expect(contents(one.path) == contents(three.path))
    }

    @Test func aDamagedPreparationIsMadeAnew() throws {
        folder.writeMoses()
        let report = try PreparedCorpus.prepare(configuration: folder.configuration())
        let before = contents(report.path)
        let file = "\(report.path)/train.en-de.en.tokens"
        var bytes = before["train.en-de.en.tokens"]!
        bytes[10] ^= 1
        try bytes.write(to: URL(fileURLWithPath: file))
        #expect(try !PreparedCorpus.prepare(configuration: folder.configuration()).alreadyPrepared)
        // Bit-identical, manifest included: the text was not touched.
        #expect(contents(report.path) == before)
    }

    @Test func longSentencesAreSkippedInTrainingAndCountedElsewhere() throws {
        folder.writeMoses()
        let long = String(repeating: "house ", count: 300)
        folder.write("text/train.en-de.en", folder.lines(60, "house") + long + "\n")
        folder.write("text/train.en-de.de", folder.lines(60, "Haus") + "kurz\n")
        folder.write("text/test.en-de.en", "kurz\nshort\n")
        folder.write("text/test.en-de.de", long + "\nkurz\n")
        var configuration = folder.configuration()
        let report = try PreparedCorpus.prepare(configuration: configuration)
        let train = try #require(report.manifest.parts.first { $0.split == .train })
        let test = try #require(report.manifest.parts.first { $0.split == .test })
        #expect(train.count == 60 && train.skipped.long == 1)
        #expect(train.source.longest <= 256)
        // What is kept is not counted as skipped.
        #expect(test.count == 2 && test.skipped.total == 0 && test.longKept == 1 && train.longKept == nil)
        let corpus = try PreparedCorpus(path: report.path)
        #expect(try corpus.references(Direction("en-de")!, .test).references == [long, "kurz"])

        configuration.longSentences = .refuse
        expectError(.text, "train.en-de.en:61", "256", "data.maximum_length", "data.long_sentences") {
            _ = try PreparedCorpus.prepare(configuration: configuration)
        }
        // The failure left the older preparation alone, and nothing beside it.
        #expect(try PreparedCorpus(path: report.path).fingerprint == corpus.fingerprint)
        #expect(!FileManager.default.fileExists(atPath: report.path + ".partial"))
    }

    @Test func overlongBytesAreLongSentences() throws {
        folder.writeMoses()
        folder.write("text/train.en-de.en", folder.lines(60, "house") + String(repeating: "x", count: 3_000_000) + "\n")
        folder.write("text/train.en-de.de", folder.lines(61, "Haus"))
        let report = try PreparedCorpus.prepare(configuration: folder.configuration())
        #expect(report.manifest.parts.first { $0.split == .train }?.skipped.long == 1)
        var configuration = folder.configuration()
        configuration.longSentences = .refuse
        expectError(.text, "train.en-de.en:61", "bytes") { _ = try PreparedCorpus.prepare(configuration: configuration) }
    }

    @Test func refusedTextIsNamedBeforeAnythingIsWritten() throws {
        folder.writeMoses()
        folder.write("text/test.en-de.de", Data("a\nb\n".utf8) + Data([0xFF, 0x0A]) + Data("d\n".utf8))
        expectError(.text, "test.en-de.de:3", "UTF-8") {
            _ = try PreparedCorpus.prepare(configuration: folder.configuration())
        }
        folder.write("text/test.en-de.de", "a\nb\n")
        expectError(.text, "4 and 2") { _ = try PreparedCorpus.prepare(configuration: folder.configuration()) }
        folder.write("text/test.en-de.en", "")
        folder.write("text/test.en-de.de", "")
        folder.write("text/train.en-de.en", "\n\n")
        folder.write("text/train.en-de.de", "a\nb\n")
        expectError(.text, "train.en-de.en", "en-de", "2 empty") {
            _ = try PreparedCorpus.prepare(configuration: folder.configuration())
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["text"])
    }

    @Test func emptyEvaluationTextIsNoError() throws {
        folder.writeMoses()
        folder.write("text/test.en-de.en", "")
        folder.write("text/test.en-de.de", "")
        let corpus = try PreparedCorpus(path: PreparedCorpus.prepare(configuration: folder.configuration()).path)
        try corpus.verify()
        #expect(corpus.pairs(Direction("en-de")!, .test) == 0)
        #expect(try corpus.references(Direction("en-de")!, .test).sources == [])
    }

    @Test func aFolderWithOtherFilesIsLeftAlone() throws {
        folder.writeMoses()
        let mine = folder.write("prepared/thesis.tex", "mine")
        expectError(.configuration, "data.prepared", "thesis.tex") {
            _ = try PreparedCorpus.prepare(configuration: folder.configuration())
        }
        #expect(FileManager.default.contents(atPath: mine) == Data("mine".utf8))
        var configuration = folder.configuration()
        configuration.prepared = mine
        expectError(.configuration, "data.prepared", "is a file") {
            _ = try PreparedCorpus.prepare(configuration: configuration)
        }
        configuration.prepared = configuration.path!
        expectError(.configuration, "data.prepared") { _ = try PreparedCorpus.prepare(configuration: configuration) }
    }

    @Test func whatAnInterruptedPreparationLeftIsRemoved() throws {
        folder.writeMoses()
        folder.write("prepared.partial/lock", "")
        folder.write("prepared.partial/train.en-de.en.tokens", "half")
        let report = try PreparedCorpus.prepare(configuration: folder.configuration())
        try PreparedCorpus(path: report.path).verify()
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["prepared", "text"])
    }

    @Test func twoPreparationsOfOneFolderAreNotMixed() throws {
        folder.writeMoses()
        let other = try PreparationFolder(destination: folder.configuration().prepared)
        expectError(.inputOutput, "one process at a time") {
            _ = try PreparedCorpus.prepare(configuration: folder.configuration())
        }
        other.abandon()
    }

    @Test func impossibleConfigurationsNameTheKey() {
        folder.writeMoses()
        func refused(_ text: String, _ change: (inout DataConfiguration) -> Void) {
            var configuration = folder.configuration()
            change(&configuration)
            expectError(.configuration, text) { _ = try PreparedCorpus.prepare(configuration: configuration) }
        }
        refused("data.vocabulary must be more than 0, but is 0") { $0.vocabulary = 0 }
        refused("data.vocabulary") { $0.vocabulary = 4 }
        refused("data.character_coverage") { $0.characterCoverage = 0.5 }
        refused("data.tokenizer_sentences") { $0.tokenizerSentences = 0 }
        refused("data.maximum_length") { $0.maximumLength = 0 }
        refused("data.prepared") { $0.prepared = "" }
    }

    @Test func aVocabularyOver65536TokensIsStoredWide() throws {
        let stem = folder.path + "/wide"
        var writer = try TokenShardWriter(stem: stem, width: 4)
        try writer.append([1, 70_000, 65_536])
        try writer.append([])
        try writer.append([5])
        #expect(try writer.finish().map(\.size) == [16, 32])
        let shard = try TokenShard(stem: stem, count: 3, tokenCount: 4, width: 4)
        #expect((0..<3).map(shard.sentence) == [[1, 70_000, 65_536], [], [5]])
        #expect((0..<3).map(shard.length) == [3, 0, 1])
    }
}
