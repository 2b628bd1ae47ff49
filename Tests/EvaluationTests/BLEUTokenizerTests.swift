import Testing

@testable import Evaluation

@Suite struct BLEUTokenizerTests {
    @Test(arguments: [BLEUTokenizer.Kind.chinese, .characters, .international]) func tokensAreSacreBLEUs(
        kind: BLEUTokenizer.Kind
    ) throws {
        try expect(SacreBLEUFixtures.tokenizations(kind.rawValue), of: BLEUTokenizer(kind))
    }

    @Test func piecesAreSacreBLEUs() throws {
        try expect(
            SacreBLEUFixtures.pieces().tokenizations,
            of: BLEUTokenizer(.flores200, modelFile: SacreBLEUFixtures.piecesModel))
    }

    private func expect(_ tokenizations: [SacreBLEUFixtures.Tokenization], of tokenizer: BLEUTokenizer) {
        var tokenizer = SegmentTokenizer(tokenizer)
        for expected in tokenizations {
            let tokens = tokenizer.tokens(of: expected.text).map { String(decoding: $0, as: UTF8.self) }
            #expect(
                tokens.map { Array($0.utf8) } == expected.tokens.map { Array($0.utf8) },
                "\(expected.text.debugDescription): \(tokens), not \(expected.tokens)")
        }
    }

    @Test func aTargetLanguageHasItsTokens() {
        func name(_ language: String) -> String { BLEUTokenizer(scoring: language).kind.rawValue }
        #expect(["zh", "zho", "zh_CN", "zh-Hans", "cmn_Hant", "ZH"].map(name) == Array(repeating: "zh", count: 6))
        #expect(["ja", "jpn_Jpan", "ko", "kor", "th", "khm", "my"].map(name) == Array(repeating: "char", count: 7))
        #expect(["de", "eng", "pt-BR", "sr_Latn", "zhx", "mya2", ""].map(name) == Array(repeating: "13a", count: 7))
    }

    @Test func aModelThatIsNone() {
        #expect(throws: (any Error).self) { try BLEUTokenizer(.flores200, modelFile: #filePath) }
    }
}
