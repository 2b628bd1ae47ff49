import Testing

@testable import Evaluation

@Suite struct Tokenizer13aTests {
    @Test func tokensAreSacreBLEUs() throws {
        var tokenizer = Tokenizer13a()
        for expected in try SacreBLEUFixtures.tokenizations() {
            let tokens = tokenizer.tokens(of: expected.text).map { Array($0) }
            #expect(tokens == expected.tokens.map { Array($0.utf8) }, "\(expected.text.debugDescription)")
        }
    }
}
