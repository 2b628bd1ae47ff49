import Testing

@testable import DataPipeline

@Suite struct TokenCountsTests {
    /// As encoder and decoder read the split.
    @Test func countWhatTheModelReads() throws {
        let corpus = PreparedNumerals.corpus, direction = corpus.directions[1]
        let groups = try EvaluationGroups(corpus: corpus, split: .train, directions: [direction], tokensPerGroup: 500)
        var source = [Int64](repeating: 0, count: corpus.vocabularySize), target = source
        for group in groups {
            for token in group.batch.source { source[Int(token)] += 1 }
            for token in group.batch.targetInput { target[Int(token)] += 1 }
        }
        let counts = try corpus.tokenCounts(direction, .train)
        #expect(counts.source == source && counts.target == target)
        #expect(source.contains { $0 > 100 })
    }

    @Test func partsAddUp() throws {
        let corpus = PreparedNumerals.corpus, direction = corpus.directions[0]
        let whole = try corpus.tokenCounts(direction, .train)
        let parts = try (0..<3).map { try corpus.tokenCounts(direction, .train, from: $0, by: 3) }
        #expect(whole.source == whole.source.indices.map { token in parts.reduce(0) { $0 + $1.source[token] } })
        #expect(whole.target == whole.target.indices.map { token in parts.reduce(0) { $0 + $1.target[token] } })
    }
}
