import DataPipeline
import Foundation
import Testing

@Suite struct TokenizerTests {
    static let sentences = (0..<300).map {
        "the house \($0) is <2cat> a small house: houses of \($0 % 9) rooms, the others" + " — ça va 😀 ཨོཾ ᚠᚢᚦ é <c>"
    }

    static let model = try! Tokenizer.train(sentences: sentences, vocabulary: 60, languages: ["eng", "cat"])

    @Test func textComesBackThroughItsTokens() throws {
        let tokenizer = try Tokenizer(model: Self.model)
        for text in [
            "the house 12", "😀😀 ça va", "ཨོཾ", "ᚠᚢᚦ — é", "house", "", "9", "<2cat>",
        ] {
            #expect(tokenizer.decode(tokenizer.encode(text)) == text)
        }
        #expect(tokenizer.encode("").isEmpty)
        #expect(tokenizer.encode("the house").count < 6, "frequent words must be few tokens")
    }

    @Test func textIsNotNormalised() throws {
        let model = try Tokenizer.train(sentences: ["½ … ﬁ Ａ e\u{301}"], vocabulary: 100, languages: ["eng"])
        let tokenizer = try Tokenizer(model: model)
        let decoded = tokenizer.decode(tokenizer.encode("½ … ﬁ Ａ e\u{301}"))
        #expect(Array(decoded.unicodeScalars) == Array("½ … ﬁ Ａ e\u{301}".unicodeScalars))
    }

    @Test func normalizationIsWhatIsAskedFor() throws {
        let text = "½ … ﬁ Ａ e\u{301}"
        let train: (DataConfiguration.Normalization) throws -> Tokenizer = {
            try Tokenizer(model: Tokenizer.train(sentences: [text], vocabulary: 100, languages: ["eng"], normalization: $0))
        }
        for normalization in [DataConfiguration.Normalization.nfkc, .nmtNFKC] {
            let tokenizer = try train(normalization)
            #expect(tokenizer.decode(tokenizer.encode(text)) == "1⁄2 ... fi A é")
        }
        let none = try train(.none)
        #expect(Array(none.decode(none.encode(text)).unicodeScalars) == Array(text.unicodeScalars))
    }

    @Test func unknownCharactersAreBytesIfAskedFor() throws {
        let model = try Tokenizer.train(
            sentences: Self.sentences, vocabulary: 60 + 256, languages: ["eng", "cat"], byteFallback: true)
        let tokenizer = try Tokenizer(model: model)
        let text = "the 漢字 house"
        #expect(!tokenizer.encode(text).contains(tokenizer.unknown))
        #expect(tokenizer.decode(tokenizer.encode(text)) == text)
        expectError(.configuration, "data.vocabulary must be more than the 259 special tokens") {
            _ = try Tokenizer.train(sentences: ["abc"], vocabulary: 200, languages: ["eng"], byteFallback: true)
        }
    }

    @Test func runsOfSpacesBecomeOne() throws {
        let tokenizer = try Tokenizer(model: Self.model)
        #expect(tokenizer.decode(tokenizer.encode("  the   house ")) == "the house")
    }

    @Test func specialTokensHaveTheirIds() throws {
        let tokenizer = try Tokenizer(model: Self.model)
        #expect(tokenizer.unknown == 0)
        #expect(tokenizer.endOfSentence == 1)
        #expect(tokenizer.languageToken("eng") == 2)
        #expect(tokenizer.languageToken("cat") == 3)
        #expect(tokenizer.languageToken("deu") == nil)
        #expect(tokenizer.languages == ["eng", "cat"])
        #expect(tokenizer.vocabularySize == 60)
    }

    @Test func noTextIsEncodedToAControlToken() throws {
        let tokenizer = try Tokenizer(model: Self.model)
        let control: Set<Int32> = [1, 2, 3]
        for text in ["<2cat>", "<2eng> hello", "x<2cat>", "</s>", "▁<2cat>", "<2cat> <2cat>", "<s>", "<unk>"] {
            #expect(control.isDisjoint(with: tokenizer.encode(text)), "\(text)")
        }
    }

    @Test func decodingLeavesOutControlTokensAndUnknownIds() throws {
        let tokenizer = try Tokenizer(model: Self.model)
        let tokens = tokenizer.encode("the house")
        let dressed = [2, 3] + tokens + [1, 1, -5, 100_000, Int32.max]
        #expect(tokenizer.decode(dressed) == "the house")
        #expect(tokenizer.decode([1, 2, 3]) == "")
        #expect(tokenizer.decode([Int32]()) == "")
    }

    @Test func unseenCharactersAreUnknown() throws {
        let tokenizer = try Tokenizer(model: Self.model)
        let tokens = tokenizer.encode("the 漢字")
        #expect(tokens.contains(tokenizer.unknown))
        #expect(tokenizer.decode(tokens).contains("⁇"))
        #expect(!tokenizer.encode("a\u{0}b").isEmpty)
    }

    @Test func trainingIsDeterministic() throws {
        #expect(try Tokenizer.train(sentences: Self.sentences, vocabulary: 60, languages: ["eng", "cat"]) == Self.model)
    }

    @Test func fileAndMemoryGiveTheSameTokenizer() throws {
        let folder = ScratchFolder()
        let file = folder.write("m.model", Self.model)
        let text = "a small house"
        #expect(try Tokenizer(modelFile: file).encode(text) == Tokenizer(model: Self.model).encode(text))
    }

    @Test func severalThreadsEncodeAlike() throws {
        let tokenizer = try Tokenizer(model: Self.model)
        let expected = Self.sentences.map(tokenizer.encode)
        DispatchQueue.concurrentPerform(iterations: 4) { _ in
            for (sentence, tokens) in zip(Self.sentences, expected) {
                precondition(tokenizer.encode(sentence) == tokens)
                _ = tokenizer.decode(tokens)
            }
        }
    }

    @Test func aSmallCorpusGivesASmallerVocabulary() throws {
        let model = try Tokenizer.train(sentences: ["one two three", "two three four"], vocabulary: 5000, languages: ["eng"])
        let tokenizer = try Tokenizer(model: model)
        #expect(tokenizer.vocabularySize < 100)
        #expect(tokenizer.decode(tokenizer.encode("one two four")) == "one two four")
    }

    private static let tinyCorpora = [
        ["a"], ["a", "a"], ["\u{2581}"], ["1"], ["\u{0}"], ["\t"], ["\u{2585}"], [String(repeating: "word ", count: 2000)],
    ]

    @Test(arguments: tinyCorpora)
    func tinyCorporaTrainOrFailWithAnError(sentences: [String]) throws {
        do {
            let tokenizer = try Tokenizer(model: Tokenizer.train(sentences: sentences, vocabulary: 50, languages: ["eng"]))
            #expect(tokenizer.vocabularySize >= 3)
        } catch let error as DataError {
            #expect(error.kind == .tokenizer)
        }
    }

    @Test func impossibleTrainingIsAnError() {
        expectError(.tokenizer, "no", "sentences") {
            _ = try Tokenizer.train(sentences: ["", "  "], vocabulary: 100, languages: ["eng"])
        }
        expectError(.tokenizer, "data.vocabulary must hold", "20 together, but is 10", "data.character_coverage") {
            _ = try Tokenizer.train(sentences: ["abcdefghijklmnop"], vocabulary: 10, languages: ["eng"])
        }
        expectError(.configuration, "data.vocabulary", "3") {
            _ = try Tokenizer.train(sentences: ["abc"], vocabulary: 3, languages: ["eng"])
        }
    }

    @Test func sentencesThatTheTrainerLeavesOutAreLeftOut() throws {
        let long = String(repeating: "word ", count: 2000)
        expectError(.tokenizer, "at most 4192 bytes", "all 3", "longer", "one a line") {
            _ = try Tokenizer.train(sentences: [long, long, long], vocabulary: 50, languages: ["eng"])
        }
        let left = ["the house", "a small house"]
        let model = try Tokenizer.train(sentences: left, vocabulary: 30, languages: ["eng"])
        let mixed = [long, "the house", "\u{2585} reserved \u{2585}", "a small house", "  "]
        #expect(try Tokenizer.train(sentences: mixed, vocabulary: 30, languages: ["eng"]) == model)
    }

    @Test func whatIsNoModelIsAnError() {
        let folder = ScratchFolder()
        expectError(.tokenizer, "\(folder.path)/none.model") { _ = try Tokenizer(modelFile: "\(folder.path)/none.model") }
        let file = folder.write("bad.model", "this is no model")
        expectError(.tokenizer, "bad.model") { _ = try Tokenizer(modelFile: file) }
        expectError(.tokenizer, "tokenizer") { _ = try Tokenizer(model: Data()) }
        expectError(.tokenizer, "tokenizer") { _ = try Tokenizer(model: Data([1, 2, 3])) }
    }
}
