import Benchmarks
import Testing

@Suite struct SyntheticSentencesTests {
    private let sentences = SyntheticSentences(groups: 3, tokensPerGroup: 500, vocabulary: 40, seed: 3)

    /// Counts are what the loss is divided by: they must be those of the groups.
    @Test(arguments: [1, 2, 77]) func countsAreThoseOfTheGroups(update: Int) {
        let groups = (0..<3).map { sentences.group(update: update, index: $0) }
        #expect(sentences.targetTokens(update: update) == groups.map(\.targetTokens))
        for group in groups {
            #expect(group.batch.source.count <= 500 + 128 && !group.batch.source.isEmpty)
            #expect(
                (group.batch.source + group.batch.targetInput).allSatisfy {
                    (SyntheticSentences.firstWord..<40).contains(Int($0))
                })
        }
        #expect(groups[0].batch.source != groups[1].batch.source, "groups are drawn apart")
    }

    @Test func medians() {
        #expect(Stopwatch.median([3, 1, 2]) == 2 && Stopwatch.median([4, 1, 2, 3]) == 2.5 && Stopwatch.median([]).isNaN)
        var runs = 0
        _ = Stopwatch.median(repetitions: 4) { runs += 1 }
        #expect(runs == 5, "one is not counted")
    }
}
