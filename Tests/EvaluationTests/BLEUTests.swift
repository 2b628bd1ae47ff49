import Testing

@testable import Evaluation

@Suite struct BLEUTests {
    @Test func scoresAreSacreBLEUs() throws {
        let corpora = try SacreBLEUFixtures.corpora()
        #expect(corpora.count > 30)
        for corpus in corpora {
            let score = BLEU().details(hypotheses: corpus.hypotheses, references: corpus.references)
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
        let score = BLEU().details(hypotheses: [], references: [])
        #expect(score.score == 0 && score.hypothesisLength == 0 && score.precisions == [0, 0, 0, 0])
    }

    @Test func signatureHasSacreBLEUsForm() {
        #expect(BLEU().signature(version: "1.2.3") == "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:strata-1.2.3")
    }

    @Test func scoresOfEveryTokenizerAreSacreBLEUs() throws {
        for corpus in try SacreBLEUFixtures.metrics() {
            for (name, expected) in corpus.bleu {
                let bleu = BLEU(tokenizer: try BLEUTokenizer(#require(BLEUTokenizer.Kind(rawValue: name))))
                let score = bleu.corpus(hypotheses: corpus.hypotheses, references: corpus.references)
                #expect(abs(score - expected) < 1e-9, "\(corpus.name), \(name): \(score), not \(expected)")
                expectSignature(bleu, corpus.signatures["bleu \(name)"])
            }
        }
    }

    @Test func piecesOfAModelAreTokens() throws {
        let expected = try SacreBLEUFixtures.pieces()
        let bleu = BLEU(tokenizer: try BLEUTokenizer(.flores200, modelFile: SacreBLEUFixtures.piecesModel))
        #expect(abs(bleu.corpus(hypotheses: expected.hypotheses, references: expected.references) - expected.bleu) < 1e-9)
        expectSignature(bleu, expected.signature)
    }
}

/// As sacreBLEU writes it, but for the program's version at its end.
func expectSignature(_ metric: any CorpusMetric, _ expected: String?, location: SourceLocation = #_sourceLocation) {
    #expect(
        metric.signature(version: "2.6.0").replacing("strata-", with: "") == expected, sourceLocation: location)
}
