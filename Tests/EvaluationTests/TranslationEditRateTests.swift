import Testing

@testable import Evaluation

@Suite struct TranslationEditRateTests {
    @Test func editsAndScoresAreSacreBLEUs() throws {
        let metric = TranslationEditRate()
        for corpus in try SacreBLEUFixtures.metrics() {
            let segments = metric.statistics(hypotheses: corpus.hypotheses, references: corpus.references)
            for (index, edits) in corpus.edits.enumerated() {
                #expect(Int(segments[index][0]) == edits, "\(corpus.name), segment \(index + 1)")
            }
            #expect(abs(metric.score(ofSegments: segments) - corpus.ter) < 1e-9, "\(corpus.name)")
            expectSignature(metric, corpus.signatures["TER"])
        }
    }

    @Test func aShiftIsOneEdit() {
        let metric = TranslationEditRate()
        let segments = metric.statistics(hypotheses: ["c d a b", "", "x"], references: ["a b c d", "a b", ""])
        #expect(segments == [[1, 4], [2, 2], [1, 0]])
        #expect(metric.score([1.0, 0]) == 100 && metric.score([0.0, 0]) == 0)
    }
}
