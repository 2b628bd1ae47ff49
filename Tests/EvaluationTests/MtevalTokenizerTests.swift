import Testing

@testable import Evaluation

@Suite struct MtevalTokenizerTests {
    @Test func tokensAreSacreBLEUs() throws {
        var tokenizer = MtevalTokenizer()
        for expected in try SacreBLEUFixtures.tokenizations() {
            let tokens = tokenizer.tokens(of: expected.text).map { Array($0) }
            #expect(tokens == expected.tokens.map { Array($0.utf8) }, "\(expected.text.debugDescription)")
        }
    }
}
