import Testing

@testable import Evaluation

@Suite struct ChrFTests {
    @Test func scoresAreSacreBLEUs() throws {
        for corpus in try SacreBLEUFixtures.corpora() {
            let score = ChrF().corpus(hypotheses: corpus.hypotheses, references: corpus.references)
            #expect(abs(score - corpus.chrf) < 1e-9, "\(corpus.name): \(score), not \(corpus.chrf)")
        }
    }

    @Test func noSegmentsScoreZero() {
        #expect(ChrF().corpus(hypotheses: [], references: []) == 0)
    }

    @Test func signatureHasSacreBLEUsForm() {
        #expect(ChrF().signature(version: "1.2.3") == "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:strata-1.2.3")
    }

    @Test func withWordsScoresAreSacreBLEUs() throws {
        for corpus in try SacreBLEUFixtures.metrics() {
            for (metric, expected) in [(ChrF(), corpus.chrf), (.plusPlus, corpus.chrfPlusPlus)] {
                let score = metric.corpus(hypotheses: corpus.hypotheses, references: corpus.references)
                #expect(abs(score - expected) < 1e-9, "\(corpus.name), \(metric.name): \(score), not \(expected)")
            }
            expectSignature(ChrF.plusPlus, corpus.signatures["chrF2++"])
        }
    }
}
