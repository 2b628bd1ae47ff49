import Collectives
import DataPipeline
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import TransformerModel

@testable import Evaluation

@Suite struct UnknownReplacementTests {
    private static let tokenizerModel = try! Tokenizer.train(
        sentences: (0..<200).map { "number \($0) of many words, \($0 % 7) of them small; the others are not" }, vocabulary: 60,
        languages: ["eng", "cat"])

    @Test func whatIsAttendedToMostIsCopied() throws {
        try alone { rank in
            let tokenizer = try Tokenizer(model: Self.tokenizerModel), unknown = tokenizer.unknown
            let model = try SearchModel.make(
                MixtureConfiguration(strata: [2, 2]), on: rank, vocabulary: tokenizer.vocabularySize, seed: 4)
            let replacement = UnknownReplacement(model: model, tokenizer: tokenizer, language: "cat")
            let source = "number 漢 of many words 字 others", many = tokenizer.encode("many")
            let translation = many + [unknown] + tokenizer.encode("of them")
            let tokens = tokenizer.encode(source), language = try #require(tokenizer.languageToken("cat"))
            let weights = try model.attention(
                of: SentenceBatch(
                    source: [language] + tokens + [tokenizer.endOfSentence],
                    sourceSegments: Segments(lengths: [tokens.count + 2]),
                    targetInput: [language] + translation, targetOutput: translation + [tokenizer.endOfSentence],
                    targetSegments: Segments(lengths: [translation.count + 1])))
            let places = tokens.indices.filter { tokens[$0] == unknown }.map { $0 + 1 }
            try #require(places.count == 2 && weights.count == translation.count + 1)
            let copied = weights[many.count][places[0]] > weights[many.count][places[1]] ? "漢" : "字"
            try #require(try replacement.text(of: translation, source: source) == "many\(copied) of them")
        }
    }

    @Test func whereNothingIsUnknown() throws {
        try alone { rank in
            let tokenizer = try Tokenizer(model: Self.tokenizerModel)
            let model = try SearchModel.make(nil, on: rank, vocabulary: tokenizer.vocabularySize, seed: 4)
            let replacement = UnknownReplacement(model: model, tokenizer: tokenizer, language: "cat")
            try #require(try replacement.text(of: tokenizer.encode("many words"), source: "漢") == "many words")
            // A piece of the source, or of nothing nothing.
            let copied = try replacement.text(of: [tokenizer.unknown], source: "many words")
            try #require(!copied.isEmpty && "many words".contains(copied))
            try #require(try replacement.text(of: [tokenizer.unknown], source: "") == "")
        }
    }
}
