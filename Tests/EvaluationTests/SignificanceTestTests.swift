import Testing

@testable import Evaluation

@Suite struct SignificanceTestTests {
    @Test func everyFigureIsSacreBLEUs() throws {
        let metrics: [any CorpusMetric] = [BLEU(), ChrF(), ChrF.plusPlus, TranslationEditRate()]
        for corpus in try SacreBLEUFixtures.significance() {
            for expected in corpus.results {
                let test = try #require(SignificanceTest(rawValue: expected.test))
                let metric = try #require(metrics.first { $0.name == expected.metric })
                expect(metric, test, corpus, expected)
            }
        }
    }

    private func expect(
        _ metric: some CorpusMetric, _ test: SignificanceTest, _ corpus: SacreBLEUFixtures.Significance,
        _ expected: SacreBLEUFixtures.Significance.Result
    ) {
        let own = metric.statistics(hypotheses: corpus.hypotheses, references: corpus.references)
        let other = metric.statistics(hypotheses: corpus.baseline, references: corpus.references)
        let result = test.compare(metric, own, with: other), name = "\(corpus.name), \(metric.name), \(test)"
        #expect(result.pValue == expected.pValue, "\(name)")
        #expect(abs(metric.score(ofSegments: own) - expected.score) < 1e-9, "\(name)")
        #expect((result.mean == nil) == (expected.mean == nil) && (result.confidence == nil) == (expected.confidence == nil))
        #expect(abs((result.mean ?? 0) - (expected.mean ?? 0)) < 1e-9, "\(name)")
        #expect(abs((result.confidence ?? 0) - (expected.confidence ?? 0)) < 1e-9, "\(name)")
        let signature = test.signature(metric, version: "2.6.0").replacing("strata-", with: "")
        #expect(Set(signature.split(separator: "|")) == Set(expected.signature.split(separator: "|")), "\(name)")
    }
}

@Suite struct NumPyRandomTests {
    @Test func numbersAreNumPys() throws {
        let expected = try SacreBLEUFixtures.numPy()
        for (bound, numbers) in expected.choice {
            var random = NumPyRandom(seed: 12345)
            #expect(random.choice(numbers.count, below: Int(bound)!) == numbers, "below \(bound)")
        }
        for (seed, numbers) in expected.seeds {
            var random = NumPyRandom(seed: UInt32(seed)!)
            #expect(random.choice(numbers.count, below: 1000) == numbers, "seed \(seed)")
        }
        var bits = NumPyRandom.Bits(NumPyRandom(seed: 12345))
        #expect(expected.bits.map { _ in bits.next() ? 1 : 0 } == expected.bits)
    }
}
