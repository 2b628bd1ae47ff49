import Foundation
import Testing

@testable import DataPipeline

@Suite struct ParallelTextTests {
    private let folder = ScratchFolder()

    private func open(_ format: DataConfiguration.Format = .moses, _ directions: [String] = []) throws -> ParallelText {
        var configuration = folder.configuration(format)
        configuration.directions = directions.map { Direction($0)! }
        return try ParallelText.open(configuration)
    }

    private func pairs(_ part: ParallelText.Part) throws -> [String] {
        let reader = try part.source.makeReader()
        var filter = LineFilter(folder.configuration(), part, HeldOutPairs())
        var pairs: [String] = []
        while let pair = try reader.next() {
            if let text = try filter.text(of: pair, in: reader) { pairs.append("\(text.source)|\(text.target)") }
        }
        return pairs
    }

    @Test func mosesFilesServeBothDirections() throws {
        folder.write("text/train.en-de.en", "one\ntwo\n")
        folder.write("text/train.en-de.de", "eins\r\nzwei")
        folder.write("text/test.en-de.en", "three\n")
        folder.write("text/test.en-de.de", "drei\n")
        folder.write("text/README.md", "nothing of ours")
        folder.write("text/train.en-de.ids", "1\n2\n")
        let all = try open()
        #expect(all.directions.map(\.description) == ["en-de", "de-en"])
        #expect(all.parts.map { "\($0.pair) \($0.split)" } == ["en-de train", "en-de test"])
        #expect(try pairs(all.parts[0]) == ["one|eins", "two|zwei"])
        let one = try open(.moses, ["de-en"])
        #expect(one.directions.map(\.description) == ["de-en"])
        #expect(one.parts.map { "\($0.pair) \($0.split)" } == ["en-de train", "en-de test"])
    }

    @Test func textInADirectionsOwnOrderComesFirst() throws {
        for pair in ["en-de", "de-en"] {
            folder.write("text/train.\(pair).en", "from \(pair)\n")
            folder.write("text/train.\(pair).de", "aus \(pair)\n")
        }
        #expect(try open(.moses, ["en-de"]).parts.map(\.pair.description) == ["en-de"])
        #expect(try open(.moses, ["de-en", "en-de"]).parts.map(\.pair.description) == ["de-en", "en-de"])
        #expect(try Set(open().directions.map(\.description)) == ["de-en", "en-de"])
    }

    @Test func tabSeparatedFiles() throws {
        folder.write("text/train.en-de.tsv", "one\teins\ntwo\tzwei\n\nthree\t\n")
        let text = try open(.tsv)
        #expect(try pairs(text.parts[0]) == ["one|eins", "two|zwei"])
    }

    @Test(arguments: ["no tab", "a\tb\tc"])
    func linesThatAreNotTwoColumnsAreRefusedOrSkipped(line: String) throws {
        folder.write("text/train.en-de.tsv", "one\teins\n\(line)\n")
        let text = try open(.tsv)
        expectError(.text, "train.en-de.tsv:2", "source, tab, target", "data.invalid_text") { _ = try pairs(text.parts[0]) }
        var configuration = folder.configuration(.tsv)
        configuration.invalidText = .skip
        let reader = try text.parts[0].source.makeReader()
        var filter = LineFilter(configuration, text.parts[0], HeldOutPairs())
        var kept = 0
        while let pair = try reader.next() { kept += try filter.text(of: pair, in: reader) == nil ? 0 : 1 }
        #expect(kept == 1 && filter.skipped.invalid == 1)
    }

    @Test func opusFilesInFoldersOrFlat() throws {
        for (place, pair) in [("de-en/", "de-en"), ("", "en-fr")] {
            for language in pair.split(separator: "-") {
                for split in ["train", "dev", "test"] {
                    folder.write("text/\(place)opus.\(pair)-\(split).\(language)", "\(split) \(language)\n")
                }
            }
        }
        folder.write("text/other/opus.en-it-train.en", "not a pair's folder\n")
        let text = try open(.opus100)
        #expect(
            text.parts.map { "\($0.pair) \($0.split)" } == [
                "de-en train", "de-en valid", "de-en test", "en-fr train", "en-fr valid", "en-fr test",
            ])
        #expect(try pairs(text.parts[1]) == ["dev de|dev en"])
        #expect(try open(.opus100, ["en-de"]).directions.map(\.description) == ["en-de"])
    }

    @Test func ninetyFourPairsOfOPUS() throws {
        let letters = "abcdefghijklmnopqrstuvwxyz".map(String.init)
        let languages = (0..<94).map { (number: Int) -> String in letters[number / 26] + letters[number % 26] }
        for language in languages {
            // As OPUS-100 has it: codes in alphabetical order, English among them.
            let pair = [language + "x", "en"].sorted()
            for split in ["train", "dev", "test"] where split == "train" || language != "ba" {
                for side in pair {
                    folder.write("text/\(pair[0])-\(pair[1])/opus.\(pair[0])-\(pair[1])-\(split).\(side)", "x\n")
                }
            }
        }
        let text = try open(.opus100)
        #expect(text.directions.count == 188 && text.parts.count == 93 * 3 + 1)
        #expect(text.remarks == ["no valid text of bax-en, en-bax", "no test text of bax-en, en-bax"])
    }

    @Test func numeralsNeedNoFiles() throws {
        let text = try open(.numerals)
        #expect(text.directions.map(\.description) == ["eng-cat", "cat-eng", "eng-isl", "isl-eng"])
        #expect(text.parts.map { "\($0.pair) \($0.split)" }.prefix(3) == ["eng-cat train", "eng-cat valid", "eng-cat test"])
        let english = try NumeralSpeller(language: "eng")
        let catalan = try NumeralSpeller(language: "cat")
        let known = Set((0..<2000).map { "\(english.words($0))|\(catalan.words($0))" })
        #expect(try pairs(text.parts[0]).allSatisfy(known.contains))
        #expect(try Set(pairs(text.parts[0])).count == 400)
        #expect(try pairs(text.parts[3]).count == 100)
        let tests = try text.parts.filter { $0.split == .test }.map { try pairs($0).map { $0.split(separator: "|")[0] } }
        #expect(tests.count == 2 && tests[0] == tests[1])
        #expect(try open(.numerals, ["isl-eng"]).parts.map(\.pair.description) == ["eng-isl", "eng-isl", "eng-isl"])
    }

    @Test func differentLineCountsAreRefused() throws {
        folder.write("text/train.en-de.en", "one\ntwo\nthree\n")
        folder.write("text/train.en-de.de", "eins\nzwei\ndrei\nvier\nfünf")
        let text = try open()
        expectError(.text, "train.en-de.en", "train.en-de.de", "3 and 5") { _ = try pairs(text.parts[0]) }
    }

    @Test func whatIsMissingIsSaidWithWhatIsThere() throws {
        folder.write("text/train.en-de.en", "one\n")
        expectError(.text, "train.en-de.de", "missing") { _ = try open() }
        folder.write("text/train.en-de.de", "eins\n")
        folder.write("text/test.en-fr.en", "one\n")
        folder.write("text/test.en-fr.fr", "un\n")
        expectError(.text, "en-fr", "en-de (train)", "en-fr (test)", "train.<src>-<tgt>.<lang>") {
            _ = try open(.moses, ["fr-en"])
        }
        expectError(.text, "train.<src>-<tgt>.tsv", "nothing") { _ = try open(.tsv) }
        expectError(.text, "eng-ind", "eng-cat") { _ = try open(.numerals, ["eng-ind"]) }
        expectError(.configuration, "distinct") { _ = try open(.moses, ["en-de", "en-de"]) }

        var configuration = folder.configuration()
        configuration.path = "\(folder.path)/none"
        expectError(.text, "data.path", "\(folder.path)/none", "does not exist") { _ = try ParallelText.open(configuration) }
        configuration.path = folder.write("file", "")
        expectError(.text, "data.path", "is a file") { _ = try ParallelText.open(configuration) }
        configuration.path = nil
        expectError(.configuration, "data.path", "moses") { _ = try ParallelText.open(configuration) }
    }

    @Test func invalidAndEmptyLinesFollowThePolicy() throws {
        folder.write(
            "text/train.en-de.en", Data("one\n \u{A0}\t\nthree\n".utf8) + Data([0xC3, 0x28, 0x0A]) + Data("five\n".utf8))
        folder.write("text/train.en-de.de", "eins\nzwei\n\nvier\nfünf\n")
        let part = try open().parts[0]
        func read(_ change: (inout DataConfiguration) -> Void) throws -> (kept: Int, skipped: SkippedPairs) {
            var configuration = folder.configuration()
            change(&configuration)
            var filter = LineFilter(configuration, part, HeldOutPairs())
            let reader = try part.source.makeReader()
            var kept = 0
            while let pair = try reader.next() { kept += try filter.text(of: pair, in: reader) == nil ? 0 : 1 }
            return (kept, filter.skipped)
        }
        let result = try read { $0.invalidText = .skip }
        #expect(result.kept == 2)
        #expect(result.skipped.empty == 2 && result.skipped.invalid == 1 && result.skipped.long == 0)
        expectError(.text, "train.en-de.en:4", "UTF-8", "data.invalid_text") { _ = try read { _ in } }
        expectError(.text, "train.en-de.en:2", "empty", "data.empty_lines") { _ = try read { $0.emptyLines = .refuse } }
    }
}
