import Testing

@testable import Evaluation

@Suite struct BLEUTests {
    @Test func scoresAreSacreBLEUs() throws {
        let corpora = try SacreBLEUFixtures.corpora()
        #expect(corpora.count > 30)
        for corpus in corpora {
            let score = BLEU.corpus(hypotheses: corpus.hypotheses, references: corpus.references)
            #expect(abs(score.score - corpus.bleu) < 1e-9, "\(corpus.name): \(score.score), not \(corpus.bleu)")
            for (precision, expected) in zip(score.precisions, corpus.precisions) {
                #expect(abs(precision - expected) < 1e-9, "\(corpus.name): \(score.precisions), not \(corpus.precisions)")
            }
            #expect(abs(score.brevityPenalty - corpus.brevityPenalty) < 1e-12, "\(corpus.name)")
            #expect(score.hypothesisLength == corpus.hypothesisLength, "\(corpus.name)")
            #expect(score.referenceLength == corpus.referenceLength, "\(corpus.name)")
        }
    }

    @Test func noSegmentsScoreZero() {
        let score = BLEU.corpus(hypotheses: [], references: [])
        #expect(score.score == 0 && score.hypothesisLength == 0 && score.precisions == [0, 0, 0, 0])
    }

    @Test func signatureHasSacreBLEUsForm() {
        #expect(BLEU.signature(version: "1.2.3") == "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:strata-1.2.3")
    }
}
