import Collectives
import DataPipeline
import Foundation
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import TransformerModel

@testable import Evaluation

@Suite struct TranslatorTests {
    private static let sentences = (0..<200).map { "number \($0) of many words, \($0 % 7) of them small; the others are not" }
    private static let tokenizerModel = try! Tokenizer.train(sentences: sentences, vocabulary: 60, languages: ["eng", "cat"])

    private static func translator(on rank: any Communicator, beam: Int = 2, seed: UInt64 = 4) throws -> Translator {
        let tokenizer = try Tokenizer(model: tokenizerModel)
        let model = try SearchModel.make(
            MixtureConfiguration(strata: [2, 2]), on: rank, vocabulary: tokenizer.vocabularySize, seed: seed)
        return Translator(model: model, tokenizer: tokenizer, search: BeamSearch(beam: beam))
    }

    /// Lengths mixed, so that batches are made in another order than the texts stand in.
    private static let texts = ["many words", "", "number 12 of many words, 3 of them small", "the", " ", "of them others", ""]

    @Test func translationsStandInTheOrderOfTheTexts() throws {
        try alone { rank in
            let translator = try Self.translator(on: rank)
            let together = try translator.translate(Self.texts, to: "cat")
            #expect(together.count == Self.texts.count)
            for (text, translation) in zip(Self.texts, together) {
                #expect(try translator.translate([text], to: "cat") == [translation], "\(text)")
            }
            #expect(Set(together).count == 5, "four texts, and nothing")
            #expect(together[1] == "" && together[4] == "" && together[6] == "")
        }
    }

    /// Ranks that share the experts, one with several batches and one with no sentence: the translations of one rank that has all.
    @Test(arguments: [2, 3, 4]) func expertsMayBeSpread(ranks: Int) throws {
        let texts = Array(Self.sentences.prefix(40))
        @Sendable func translator(_ group: any Communicator) throws -> Translator {
            let tokenizer = try Tokenizer(model: Self.tokenizerModel)
            let model = try SearchModel.make(
                MixtureConfiguration(strata: [4, 4]), on: group, vocabulary: tokenizer.vocabularySize, seed: 4)
            return Translator(
                models: [model], tokenizer: tokenizer, search: BeamSearch(beam: 2), batchTokens: 200, expertGroup: group)
        }
        let expected = try SimulatedCluster.run(ranks: 1) { try translator($0).translate(texts, to: "cat") }[0]
        let found = try SimulatedCluster.run(ranks: ranks) { rank in
            // The first has most, the last none.
            let own = rank.rank == 0 ? Array(texts.prefix(30)) : rank.rank == ranks - 1 ? [] : [texts[30 + rank.rank]]
            return try translator(rank).translate(own, to: "cat")
        }
        #expect(found[0] == Array(expected.prefix(30)) && found[ranks - 1].isEmpty)
        for rank in 1..<ranks - 1 { #expect(found[rank] == [expected[30 + rank]]) }
        #expect(Set(expected).count > 10, "they differ")
    }

    @Test func thereMayBeNothingToTranslate() throws {
        try alone { rank in
            let translator = try Self.translator(on: rank)
            #expect(try translator.translate([], to: "eng").isEmpty)
            #expect(try translator.translate(["", "  "], to: "eng") == ["", ""])
        }
    }

    @Test func theLanguageIsAskedFor() throws {
        try alone { rank in
            let translator = try Self.translator(on: rank)
            #expect(try translator.translate(Self.texts, to: "cat") != translator.translate(Self.texts, to: "eng"))
        }
    }

    /// More source tokens than one batch takes.
    @Test func severalBatches() throws {
        try alone { rank in
            let translator = try Self.translator(on: rank, beam: 1)
            let tokens = Self.sentences.prefix(90).reduce(0) { $0 + translator.tokenizer.encode($1).count + 2 }
            #expect(tokens > 2 * 1536)
            var reports: [Int] = []
            let texts = Array(Self.sentences.prefix(90)) + [""]
            let translations = try translator.translate(texts, to: "cat") { reports.append($0) }
            #expect(reports.count > 2 && reports == reports.sorted() && reports.last == texts.count)
            for index in [0, 17, 45, 89] {
                #expect(try translator.translate([texts[index]], to: "cat") == [translations[index]])
            }
        }
    }

    /// A text longer than the model takes is cut, not refused.
    @Test func aVeryLongTextIsCut() throws {
        try alone { rank in
            let translator = try Self.translator(on: rank, beam: 1)
            let word = "words "
            let long = String(repeating: word, count: 2 * Translator.longestSource)
            #expect(translator.tokenizer.encode(long).count > Translator.longestSource)
            #expect(try translator.translate([long], to: "cat").count == 1)
        }
    }
}
