import Foundation
import TensorCore
import Testing

@testable import DataPipeline

@Suite struct EvaluationGroupsTests {
    private var corpus: PreparedCorpus { PreparedNumerals.corpus }

    @Test func groupsAreTheSplitInOrder() throws {
        let groups = try EvaluationGroups(corpus: corpus, split: .valid, directions: corpus.directions, tokensPerGroup: 120)
        #expect(groups.count > corpus.directions.count)
        var sentences: [[Int32]] = []
        for (index, group) in groups.enumerated() {
            #expect(group.index == index && Set(group.directions).count == 1)
            #expect(group.batch.source.count <= 120 && group.targetTokens <= 120)
            for sentence in 0..<group.sentences {
                let source = group.batch.source[group.batch.sourceSegments.range(sentence)].dropFirst().dropLast()
                let target = group.batch.targetOutput[group.batch.targetSegments.range(sentence)].dropLast()
                sentences.append([Int32(group.directions[sentence])] + source + [-1] + target)
            }
        }
        var expected: [[Int32]] = []
        for (number, direction) in corpus.directions.enumerated() {
            for index in 0..<corpus.pairs(direction, .valid) {
                let pair = corpus.sentence(direction, .valid, index)
                expected.append([Int32(number)] + pair.source + [-1] + pair.target)
            }
        }
        #expect(sentences == expected)
        expectError(.configuration, "training.tokens_per_group", "valid") {
            _ = try EvaluationGroups(corpus: corpus, split: .valid, directions: corpus.directions, tokensPerGroup: 6)
        }
    }

    @Test func theFirstSentencesOfEachDirection() throws {
        let groups = try EvaluationGroups(
            corpus: corpus, split: .valid, directions: corpus.directions, tokensPerGroup: 120, limit: 3)
        #expect(groups.map(\.sentences) == [3, 3, 3, 3])
        let whole = try EvaluationGroups(corpus: corpus, split: .valid, directions: corpus.directions, tokensPerGroup: 120)
        #expect(whole[0].batch.source.starts(with: groups[0].batch.source))
    }

    @Test func leaveOutLongSentencesAndAbsentSplits() throws {
        let folder = ScratchFolder()
        folder.writeMoses()
        folder.write("text/valid.en-de.en", "short\n\(String(repeating: "house ", count: 300))\nshort\n")
        folder.write("text/valid.en-de.de", "kurz\nkurz\nkurz\n")
        for language in ["en", "de"] {
            try FileManager.default.removeItem(atPath: "\(folder.path)/text/test.en-de.\(language)")
        }
        let corpus = try PreparedCorpus(path: PreparedCorpus.prepare(configuration: folder.configuration()).path)
        let groups = try EvaluationGroups(corpus: corpus, split: .valid, directions: corpus.directions, tokensPerGroup: 300)
        #expect(groups.map(\.sentences) == [2, 2])
        #expect(try EvaluationGroups(corpus: corpus, split: .test, directions: corpus.directions, tokensPerGroup: 300).isEmpty)
    }
}
