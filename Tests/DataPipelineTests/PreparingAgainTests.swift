import Files
import Foundation
import Testing

@testable import DataPipeline

/// Preparations that were interrupted, and data that earlier versions prepared.
@Suite struct PreparingAgainTests {
    private let folder = ScratchFolder()

    private func contents(_ path: String) -> [String: Data] {
        let names = try! FileManager.default.contentsOfDirectory(atPath: path)
        return Dictionary(uniqueKeysWithValues: names.map { ($0, FileManager.default.contents(atPath: "\(path)/\($0)")!) })
    }

    /// Makes of a finished preparation what one leaves that was killed after some parts.
    private func interrupt(after parts: Int) throws {
        let path = "\(folder.path)/prepared"
        let manifest = try PreparationManifest(folder: path)
        try FileManager.default.moveItem(atPath: path, toPath: "\(path).partial")
        try FileManager.default.removeItem(atPath: "\(path).partial/manifest.json")
        var journal = PreparationJournal(folder: "\(path).partial", fingerprint: manifest.fingerprint)
        try journal.add(tokenizer: try #require(manifest.files.first { $0.name == "sentencepiece.model" }))
        for part in manifest.parts.prefix(parts) {
            let files = manifest.files.filter { $0.name.hasPrefix("\(part.split.rawValue).\(part.pair).") }
            #expect(files.count == (part.split == .train ? 4 : 6))
            try journal.add(part, files)
        }
        // The part that was under way.
        for part in manifest.parts.dropFirst(parts).prefix(1) {
            folder.write("prepared.partial/\(part.split.rawValue).\(part.pair).en.tokens", "half")
        }
    }

    @Test(arguments: 0...3) func anInterruptedPreparationIsGoneOnWith(parts: Int) throws {
        folder.writeMoses()
        let path = try PreparedCorpus.prepare(configuration: folder.configuration()).path
        let expected = contents(path)
        try interrupt(after: parts)
        // What was finished is not made again: its time stays.
        let finished = "\(path).partial/sentencepiece.model"
        let past = Date(timeIntervalSince1970: 1_000_000)
        try FileManager.default.setAttributes([.modificationDate: past], ofItemAtPath: finished)
        #expect(try !PreparedCorpus.prepare(configuration: folder.configuration()).alreadyPrepared)
        #expect(contents(path) == expected)
        let time = try FileManager.default.attributesOfItem(atPath: "\(path)/sentencepiece.model")[.modificationDate]
        #expect(time as? Date == past)
    }

    @Test func whatDoesNotFitIsMadeAgain() throws {
        folder.writeMoses()
        let path = try PreparedCorpus.prepare(configuration: folder.configuration()).path
        let expected = contents(path)
        // A damaged file of a finished part.
        try interrupt(after: 2)
        folder.write("prepared.partial/train.en-de.de.tokens", "damaged")
        _ = try PreparedCorpus.prepare(configuration: folder.configuration())
        #expect(contents(path) == expected)
        // Other text.
        try interrupt(after: 3)
        folder.write("text/train.en-de.en", folder.lines(60, "mouse"))
        let other = try PreparedCorpus.prepare(configuration: folder.configuration())
        try PreparedCorpus(path: path).verify()
        #expect(
            try other.manifest.fingerprint
                != JSONDecoder().decode(Fingerprint.self, from: expected["manifest.json"]!).fingerprint)
    }

    private struct Fingerprint: Decodable { let fingerprint: String }

    @Test func dataOfTheEarlierDefaultAreAsGoodAsEver() throws {
        folder.writeMoses()
        var configuration = folder.configuration()
        configuration.tokenizerSentences = 2_000_000
        let earlier = try PreparedCorpus.prepare(configuration: configuration)
        let today = try PreparedCorpus.prepare(configuration: folder.configuration())
        #expect(today.alreadyPrepared && today.manifest == earlier.manifest)
        try PreparedCorpus(path: today.path).requireSettings(of: folder.configuration())
        configuration.tokenizerSentences = 1_000_000
        expectError(.prepared, "other settings") { try PreparedCorpus(path: today.path).requireSettings(of: configuration) }
    }

    @Test func tokenizerSentencesAreSharedByTemperature() {
        func quotas(_ sentences: [Int], _ limit: Int, _ temperature: Double) -> [Int] {
            TokenizerSentences.quotas(sentences, limit: limit, temperature: temperature)
        }
        #expect(quotas([100, 20], 120, 5) == [100, 20])
        #expect(quotas([1000, 500], 150, 1) == [100, 50])
        #expect(quotas([1000, 1000, 1000], 100, 5).reduce(0, +) == 100)
        let shares = quotas([1_000_000, 10_000], 10_000, 5)
        #expect(shares.reduce(0, +) == 10_000 && abs(shares[1] - 2847) <= 1, "\(shares): 1 to 0.01^(1/5)")
        // One that has less than its share gives all; the others share the rest.
        #expect(quotas([1_000_000, 1_000_000, 10], 1010, 5) == [500, 500, 10])
        #expect(quotas([], 10, 5) == [] && quotas([0, 0], 10, 5) == [0, 0])
        #expect(quotas([5, 5, 5], 1, 1).reduce(0, +) == 1)
    }

    @Test func everyThirdSentenceIsTaken() throws {
        folder.write("text/train.en-de.en", (0..<6).map { "a\($0)\n" }.joined())
        folder.write("text/train.en-de.de", (0..<6).map { "b\($0)\n" }.joined())
        var configuration = folder.configuration()
        configuration.tokenizerSentences = 4
        let parts = try ParallelText.open(configuration).parts
        let sentences = TokenizerSentences(parts: parts, pairs: [6], configuration: configuration, heldOut: HeldOutPairs())
        #expect(sentences.count == 4 && Array(sentences) == ["a1", "b2", "a4", "b5"])
    }
}
