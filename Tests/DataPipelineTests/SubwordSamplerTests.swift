import Foundation
import TensorCore
import Testing

@testable import DataPipeline

@Suite struct SubwordSamplerTests {
    private let tokenizer = PreparedNumerals.corpus.tokenizer
    private let key = RandomKey(seed: 3)

    /// Every segmentation of a word into pieces of text, by trying.
    private func segmentations(_ text: [UInt8]) -> [[Int32]] {
        if text.isEmpty { return [[]] }
        return (0..<Int32(tokenizer.vocabularySize)).filter {
            tokenizer.isText($0) && text.starts(with: tokenizer.piece($0).utf8)
        }.flatMap { token in
            segmentations(Array(text.dropFirst(tokenizer.piece(token).utf8.count))).map { [token] + $0 }
        }
    }

    @Test func theTextStays() {
        let sampler = SubwordSampler(tokenizer: tokenizer, alpha: 0.2)
        var changed = 0
        for number in 0..<50 {
            let sentence = PreparedNumerals.corpus.sentence(Direction("eng-cat")!, .train, number).source
            let drawn = sampler.resample(sentence, key: key.derived(number))
            #expect(tokenizer.decode(drawn) == tokenizer.decode(sentence))
            changed += drawn == sentence ? 0 : 1
        }
        #expect(changed > 10)
    }

    @Test func whatIsNoTextStays() {
        let sampler = SubwordSampler(tokenizer: tokenizer, alpha: 0.2)
        let odd = tokenizer.encode("one 漢 two") + [tokenizer.endOfSentence]
        let drawn = sampler.resample(odd, key: key)
        #expect(drawn.contains(tokenizer.unknown) && drawn.last == tokenizer.endOfSentence)
        #expect(tokenizer.decode(drawn) == tokenizer.decode(odd))
        #expect(sampler.resample([], key: key).isEmpty)
    }

    /// Frequencies of 20,000 draws against probabilities by enumeration.
    @Test(arguments: [0.1, 0.5, 1.0]) func drawsFollowTheProbabilities(alpha: Double) throws {
        let sampler = SubwordSampler(tokenizer: tokenizer, alpha: alpha)
        let word = tokenizer.encode("seven")
        let all = segmentations(Array("▁seven".utf8))
        #expect(all.count > 5 && all.contains(word))
        let weights = all.map { exp(alpha * $0.reduce(0) { $0 + Double(tokenizer.score($1)) }) }
        let sum = weights.reduce(0, +)
        let draws = 20_000
        var counts: [[Int32]: Int] = [:]
        for draw in 0..<draws { counts[sampler.resample(word, key: key.derived(draw)), default: 0] += 1 }
        #expect(Set(counts.keys).isSubset(of: all))
        for (segmentation, weight) in zip(all, weights) {
            let p = weight / sum
            let deviation = (p * (1 - p) / Double(draws)).squareRoot()
            #expect(abs(Double(counts[segmentation] ?? 0) / Double(draws) - p) < 5 * deviation + 1e-4)
        }
    }

    @Test func groupsOfDrawnTokensKeepTheirBudgetAndAreTheSameAgain() throws {
        let corpus = PreparedNumerals.corpus
        func sampler(_ alpha: Double) throws -> TokenGroupSampler {
            try TokenGroupSampler(
                corpus: corpus, directions: corpus.directions, temperature: 1, subwordSampling: alpha, seed: 7, groups: 3,
                tokensPerGroup: 200)
        }
        let one = try sampler(0.1), again = try sampler(0.1), stored = try sampler(0)
        var differing = 0
        for update in 0..<4 {
            #expect(one.targetTokens(update: update) == one.groups(update: update).map(\.targetTokens))
            for index in [2, 0, 1] {
                let group = one.group(update: update, index: index), other = again.group(update: update, index: index)
                #expect(group.batch.source == other.batch.source && group.batch.targetOutput == other.batch.targetOutput)
                #expect(group.sentences > 0 && group.batch.source.count <= 200 && group.targetTokens <= 200)
                // The same sentences in the same order, as many as fit.
                let plain = stored.group(update: update, index: index)
                for sentence in 0..<min(group.sentences, plain.sentences) {
                    let drawn = Array(group.batch.source[group.batch.sourceSegments.range(sentence)])
                    let best = Array(plain.batch.source[plain.batch.sourceSegments.range(sentence)])
                    #expect(tokenizer.decode(drawn) == tokenizer.decode(best))
                    differing += drawn == best ? 0 : 1
                }
            }
        }
        #expect(differing > 30)
    }

    @Test func aSentenceThatWouldNotFitIsNotDrawn() throws {
        let corpus = PreparedNumerals.corpus
        let longest = corpus.directions.flatMap { direction in
            (0..<corpus.pairs(direction, .train)).map {
                let pair = corpus.sentence(direction, .train, $0)
                return max(pair.source.count + 2, pair.target.count + 1)
            }
        }.max()!
        let sampler = try TokenGroupSampler(
            corpus: corpus, directions: corpus.directions, temperature: 1, subwordSampling: 0.01, seed: 7, groups: 20,
            tokensPerGroup: longest)
        for group in sampler.groups(update: 0) { #expect(group.sentences > 0) }
    }
}
