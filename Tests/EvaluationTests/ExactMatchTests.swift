import Testing

@testable import Evaluation

@Suite struct ExactMatchTests {
    @Test func isTheShareOfEqualSegments() {
        let references = ["one", "two", "three", "caf\u{E9}"]
        #expect(ExactMatch.corpus(hypotheses: references, references: references) == 100)
        #expect(ExactMatch.corpus(hypotheses: ["one ", "Two", "thre", " caf\u{E9}\n"], references: references) == 50)
    }

    @Test func spellingsOfACharacterDiffer() {
        #expect(ExactMatch.corpus(hypotheses: ["cafe\u{301}"], references: ["caf\u{E9}"]) == 0)
    }

    @Test func emptySegmentsMatchEmptyOnes() {
        #expect(ExactMatch.corpus(hypotheses: ["", " "], references: ["", "x"]) == 50)
        #expect(ExactMatch.corpus(hypotheses: [], references: []) == 0)
    }

    @Test func aRunOfWhiteSpaceIsASpace() {
        #expect(ExactMatch.matches("a b", " a  b\u{3000}") && ExactMatch.matches("a\tb", "a b"))
        #expect(!ExactMatch.matches("ab", "a b") && !ExactMatch.matches("a b", "a b c"))
    }
}
