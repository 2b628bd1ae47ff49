import Foundation
import Testing

@testable import DataPipeline

/// Several corpora of a pair: prepared one after the other, drawn by weight and stage.
@Suite struct CorporaTests {
    private let folder = ScratchFolder()

    /// 60 pairs of `main`, 30 of `crawl`, whose files have the pair the other way round, and 10 of another pair in `extra`.
    private func configuration() -> DataConfiguration {
        folder.writeMoses()
        folder.write("crawl/train.de-en.de", folder.lines(30, "Hof"))
        folder.write("crawl/train.de-en.en", folder.lines(30, "yard"))
        folder.write("crawl/test.de-en.de", "Hof\n")
        folder.write("crawl/test.de-en.en", "yard\n")
        folder.write("extra/train.en-fr.en", folder.lines(10, "house"))
        folder.write("extra/train.en-fr.fr", folder.lines(10, "cour"))
        var configuration = folder.configuration()
        configuration.corpora = ["extra": "\(folder.path)/extra", "crawl": "\(folder.path)/crawl"]
        return configuration
    }

    private func corpus() throws -> PreparedCorpus {
        let report = try PreparedCorpus.prepare(configuration: configuration())
        #expect(report.remarks.contains { $0.hasSuffix("crawl/test.de-en.de: not used: test text is that of data.path") })
        return try PreparedCorpus(path: report.path)
    }

    private func sampler(_ corpus: PreparedCorpus, _ stages: CorpusStage...) throws -> TokenGroupSampler {
        try TokenGroupSampler(
            corpus: corpus, directions: [try #require(Direction("en-de"))], temperature: 1, stages: stages, seed: 7, groups: 2,
            tokensPerGroup: 100)
    }

    /// Of an update's draws, how many are of `crawl`, whose sentences speak of yards.
    private func crawled(_ group: TokenGroup, _ tokenizer: Tokenizer) -> Int {
        (0..<group.sentences).filter {
            tokenizer.decode(Array(group.batch.source[group.batch.sourceSegments.range($0)])).contains("yard")
        }.count
    }

    @Test func theyStandOneAfterTheOther() throws {
        let corpus = try corpus(), pair = try #require(corpus.oriented(Direction("en-de")!, .train))
        #expect(corpus.directions.map(\.description) == ["en-de", "de-en", "en-fr", "fr-en"])
        #expect(pair.corpora.map(\.name) == ["main", "crawl"] && pair.corpora.map(\.sentences) == [0..<60, 60..<90])
        let sentence = corpus.sentence(Direction("en-de")!, .train, 60)
        #expect(corpus.tokenizer.decode(sentence.source) == "yard 0 yard and yards 0")
        #expect(corpus.tokenizer.decode(sentence.target) == "Hof 0 Hof and Hofs 0")
        #expect(corpus.oriented(Direction("fr-en")!, .train)?.corpora.map(\.name) == ["extra"])
        #expect(corpus.manifest.parts.first { $0.split == .test }?.count == 4 && corpus.pairs(Direction("en-de")!, .test) == 4)
        try corpus.requireSettings(of: configuration())
    }

    /// A share of an epoch is exact: places ∝ weight × pairs.
    @Test(arguments: [(1.0, 1.0, 90, 30), (1, 4, 180, 120), (0, 1, 30, 30), (2, 0, 120, 0)])
    func weightsDecideTheShares(main: Double, crawl: Double, length: Int, fromCrawl: Int) throws {
        let sampler = try sampler(corpus(), CorpusStage(weights: ["main": main, "crawl": crawl]))
        #expect(sampler.epochLength == length)
        let drawn = (0..<length).map { sampler.sentence(draw: $0).sentence }
        #expect(drawn.filter { $0 >= 60 }.count == fromCrawl)
        // Passes of its own: every sentence of a corpus as often as any other.
        for (sentences, count) in [(0..<60, length - fromCrawl), (60..<90, fromCrawl)] {
            for sentence in sentences { #expect(drawn.filter { $0 == sentence }.count == count / sentences.count) }
        }
    }

    @Test func stagesFollowOneAnother() throws {
        let corpus = try corpus(), main = CorpusStage(weights: ["crawl": 0])
        let stages = try sampler(corpus, main, CorpusStage(after: 3, weights: ["main": 0]), CorpusStage(after: 5))
        let first = try sampler(corpus, main)
        var later: Set<Int> = []
        for update in 1...40 {
            for index in 0..<2 {
                let group = stages.group(update: update, index: index), count = crawled(group, corpus.tokenizer)
                #expect(group.sentences > 0 && group.batch.source == stages.group(update: update, index: index).batch.source)
                switch update {
                case ...3: #expect(count == 0 && group.batch.source == first.group(update: update, index: index).batch.source)
                case 4...5: #expect(count == group.sentences)
                default: later.insert(count == 0 ? 0 : count == group.sentences ? 2 : 1)
                }
            }
            #expect(stages.targetTokens(update: update) == stages.groups(update: update).map(\.targetTokens))
        }
        #expect(later.contains(1), "both are drawn from")
    }

    @Test func weightsNeedNoOtherPreparation() throws {
        var configuration = configuration()
        let fingerprint = try PreparedCorpus.prepare(configuration: configuration).manifest.fingerprint
        configuration.weights = ["crawl": 0.5]
        configuration.stages = [CorpusStage(after: 9)]
        #expect(try PreparedCorpus.prepare(configuration: configuration).alreadyPrepared)
        configuration.corpora["extra"] = nil
        #expect(try PreparedCorpus.prepare(configuration: configuration).manifest.fingerprint != fingerprint)
    }

    @Test func faultsAreNamedWhereTheyAre() throws {
        var configuration = configuration()
        folder.write("crawl/train.de-en.en", Data([0x79, 0x0A, 0xFF, 0x0A]) + Data(folder.lines(28, "yard").utf8))
        expectError(.text, "crawl/train.de-en.en:2: must be valid UTF-8") {
            _ = try PreparedCorpus.prepare(configuration: configuration)
        }
        configuration.corpora = ["crawl": "\(folder.path)/nowhere"]
        expectError(.text, "data.corpora.crawl must be the folder of the text files, but", "does not exist") {
            _ = try PreparedCorpus.prepare(configuration: configuration)
        }
    }

    @Test func aStageWithoutTextIsRefused() throws {
        let corpus = try corpus()
        expectError(.configuration, "data.stages[0].weights must leave text of en-de") {
            _ = try sampler(corpus, CorpusStage(), CorpusStage(after: 1, weights: ["main": 0, "crawl": 0]))
        }
    }
}
