import Foundation
import Testing

@testable import DataPipeline

@Suite struct JSONLinesTests {
    private let folder = ScratchFolder()

    private func read(
        _ text: String, name: String = "train.en-de.jsonl", _ change: (inout DataConfiguration) -> Void = { _ in }
    ) throws -> (pairs: [String], skipped: SkippedPairs) {
        folder.write("text/\(name)", text)
        var configuration = folder.configuration(.jsonl)
        change(&configuration)
        let part = try ParallelText.open(configuration).parts[0]
        let reader = try part.source.makeReader()
        var filter = LineFilter(configuration, part, HeldOutPairs())
        var pairs: [String] = []
        while let pair = try reader.next() {
            if let text = try filter.text(of: pair, in: reader) { pairs.append("\(text.source)|\(text.target)") }
        }
        return (pairs, filter.skipped)
    }

    @Test func fieldsAreNamedForTheLanguages() throws {
        let text = #"{"en": "one", "de": "eins", "id": 7}"# + "\n" + #"{"de":"\u00fcber \"uns\"","en":"about\nus"}"# + "\r\n\n"
        #expect(try read(text).pairs == ["one|eins", "about us|über \"uns\""])
        #expect(try read(text).skipped.empty == 1)
    }

    @Test func fieldsAreNamedAndNested() throws {
        let text = #"{"translation": {"en": "one", "de": "eins"}, "src": "two", "tgt": "zwei"}"#
        #expect(
            try read(text) {
                $0.fields.source = "translation.<src>"
                $0.fields.target = "translation.<tgt>"
            }.pairs == ["one|eins"])
        let named = try read(text) {
            $0.fields.source = "src"
            $0.fields.target = "tgt"
        }
        #expect(named.pairs == ["two|zwei"])
    }

    @Test(arguments: ["no object", "[1]", #"{"en": "one"}"#, #"{"en": "one", "de": 7}"#, #"{"en": "one", "de": null}"#])
    func linesThatAreNoPairAreRefusedOrSkipped(line: String) throws {
        let text = #"{"en": "one", "de": "eins"}"# + "\n\(line)\n"
        expectError(.text, "train.en-de.jsonl:2: must", "data.invalid_text") { _ = try read(text) }
        let result = try read(text) { $0.invalidText = .skip }
        #expect(result.pairs == ["one|eins"] && result.skipped.invalid == 1)
    }

    @Test func compressedAndNearlyNamedFiles() throws {
        folder.write("text/train.en-de.jsonl.gz", CompressedText.gzip(Data(#"{"en": "one", "de": "eins"}"#.utf8)))
        folder.write("text/dev.en-de.jsonl", "{}\n")
        let text = try ParallelText.open(folder.configuration(.jsonl))
        #expect(text.directions.map(\.description) == ["en-de", "de-en"])
        #expect(text.remarks.first?.contains("rename it, for instance valid.en-de.jsonl") == true)
    }

    @Test func fieldsDecideTheFingerprint() throws {
        folder.write(
            "text/train.en-de.jsonl",
            (0..<60).map { #"{"en": "house \#($0)", "de": "Haus \#($0)", "x": "Hof \#($0)"}"# + "\n" }.joined())
        var configuration = folder.configuration(.jsonl)
        let first = try PreparedCorpus.prepare(configuration: configuration)
        configuration.fields.target = "x"
        let second = try PreparedCorpus.prepare(configuration: configuration)
        #expect(first.manifest.fingerprint != second.manifest.fingerprint && !second.alreadyPrepared)
    }
}
