import Foundation
import TensorCore
import Testing

@testable import DataPipeline

@Suite struct TokenGroupSamplerTests {
    private var corpus: PreparedCorpus { PreparedNumerals.corpus }

    private func sampler(
        directions: [Direction]? = nil, temperature: Double = 1, seed: UInt64 = 7, groups: Int = 3, tokens: Int = 200
    ) throws -> TokenGroupSampler {
        try TokenGroupSampler(
            corpus: corpus, directions: directions ?? corpus.directions, temperature: temperature, seed: seed,
            groups: groups, tokensPerGroup: tokens)
    }

    private func flat(_ group: TokenGroup) -> [Int32] {
        group.batch.source + [-1] + group.batch.targetInput + [-1] + group.batch.targetOutput + [-1]
            + group.directions.map(Int32.init)
    }

    @Test func groupsHoldWholeSentencesWithTheirSpecialTokens() throws {
        let tokenizer = corpus.tokenizer
        var known: Set<[Int32]> = []
        for (number, direction) in corpus.directions.enumerated() {
            for index in 0..<corpus.pairs(direction, .train) {
                let pair = corpus.sentence(direction, .train, index)
                known.insert([Int32(number)] + pair.source + [-1] + pair.target)
            }
        }
        for group in try sampler().groups(update: 4) {
            #expect(group.sentences > 3)
            for sentence in 0..<group.sentences {
                let direction = group.directions[sentence]
                let language = try #require(tokenizer.languageToken(corpus.directions[direction].target))
                let source = Array(group.batch.source[group.batch.sourceSegments.range(sentence)])
                let input = Array(group.batch.targetInput[group.batch.targetSegments.range(sentence)])
                let output = Array(group.batch.targetOutput[group.batch.targetSegments.range(sentence)])
                #expect(source.first == language && source.last == tokenizer.endOfSentence)
                #expect(input.first == language && output.last == tokenizer.endOfSentence)
                #expect(input.dropFirst() == output.dropLast())
                #expect(known.contains([Int32(direction)] + source.dropFirst().dropLast() + [-1] + output.dropLast()))
            }
        }
    }

    /// Of powers of the shares none may be left, nor all be the same power of nothing.
    @Test(arguments: [Double.leastNonzeroMagnitude, 1e-300, 0.0005, 0.007, 0.1, 1e300, .infinity]) func anyTemperatureMayBe(
        temperature: Double
    )
        throws
    {
        let sampler = try sampler(temperature: temperature)
        #expect(sampler.targetTokens(update: 3).allSatisfy { $0 > 0 })
        let longest = corpus.directions.map { corpus.pairs($0, .train) }.max()!
        #expect(sampler.epochLength >= longest && sampler.epochLength <= 2 * corpus.directions.count * longest)
    }

    @Test func theLastUpdatesThatCanBeAskedForHaveGroups() throws {
        let sampler = try sampler(groups: 65_536, tokens: 4000)
        #expect(sampler.group(update: 1_000_000_000, index: 65_535).sentences > 0)
    }

    @Test func anyGroupIsTheSameHoweverItIsReached() throws {
        let first = try sampler()
        let second = try sampler()
        let order = [17, 3, 0, 100_000, 3, 16]
        for update in order {
            let groups = first.groups(update: update)
            #expect(groups.map(\.index) == [0, 1, 2])
            #expect(first.targetTokens(update: update) == groups.map(\.targetTokens))
            for index in [2, 0, 1] {
                #expect(flat(second.group(update: update, index: index)) == flat(groups[index]))
            }
        }
        #expect(flat(first.group(update: 3, index: 0)) != flat(first.group(update: 3, index: 1)))
        #expect(flat(first.group(update: 3, index: 0)) != flat(first.group(update: 4, index: 0)))
        #expect(try flat(sampler(seed: 8).group(update: 3, index: 0)) != flat(first.group(update: 3, index: 0)))
    }

    @Test(arguments: [60, 200, 1000, 5000])
    func theBudgetIsHeldAndNearlyReached(tokens: Int) throws {
        let sampler = try sampler(tokens: tokens)
        let longest = 40
        var full = 0
        var all = 0
        for update in 0..<40 {
            for group in sampler.groups(update: update) {
                #expect(group.batch.source.count <= tokens && group.targetTokens <= tokens)
                #expect(group.sentences >= 1)
                all += 1
                if max(group.batch.source.count, group.targetTokens) > tokens - longest { full += 1 }
            }
        }
        #expect(full >= all * 98 / 100, "\(full) of \(all) groups are full")
    }

    /// Each direction's share of the sentences of the first updates.
    private func shares(_ sampler: TokenGroupSampler, updates: Int) -> [Double] {
        var counts = Array(repeating: 0.0, count: corpus.directions.count)
        for update in 0..<updates {
            for group in sampler.groups(update: update) { for direction in group.directions { counts[direction] += 1 } }
        }
        let total = counts.reduce(0, +)
        return counts.map { $0 / total }
    }

    @Test func directionsAreDrawnByTemperature() throws {
        for (temperature, large) in [(1.0, 0.4), (5.0, pow(4, 0.2) / (2 * pow(4, 0.2) + 2)), (.infinity, 0.25)] {
            let shares = try shares(sampler(temperature: temperature), updates: 300)
            for (share, expected) in zip(shares, [large, large, 0.5 - large, 0.5 - large]) {
                #expect(abs(share - expected) < 0.02, "temperature \(temperature): \(shares)")
            }
        }
    }

    @Test func aPassShowsEachSentenceOnce() throws {
        let directions = [Direction("eng-isl")!, Direction("isl-eng")!]
        let sampler = try sampler(directions: directions, groups: 1, tokens: 5000)
        #expect(sampler.epochLength == 200)
        for (first, last) in [(0, 200), (200, 400), (1000, 1200)] {
            var seen: [Int: [Int]] = [:]
            for draw in first..<last {
                let (source, sentence) = sampler.sentence(draw: draw)
                seen[source, default: []].append(sentence)
            }
            for source in 0..<2 { #expect(seen[source]?.sorted() == Array(0..<100)) }
        }
        let orders = [0, 200, 400].map { begin in (begin..<(begin + 200)).map { sampler.sentence(draw: $0).sentence } }
        #expect(Set(orders).count == 3, "each epoch has an order of its own")
    }

    @Test func oversampledDirectionsStillShowEachSentenceOncePerPass() throws {
        // Temperature infinity: 250 places each of 1000; the directions of 100 pairs are passed over 2.5 times an epoch.
        let sampler = try sampler(temperature: .infinity)
        #expect(sampler.epochLength == 1000)
        var seen: [Int: [Int: Int]] = [:]
        for draw in 0..<2000 {
            let (source, sentence) = sampler.sentence(draw: draw)
            seen[source, default: [:]][sentence, default: 0] += 1
        }
        for source in 2..<4 {
            #expect(seen[source]?.count == 100)
            #expect(seen[source]?.values.allSatisfy { $0 == 5 } == true)
        }
        for source in 0..<2 { #expect(seen[source]?.values.allSatisfy { $0 == 1 || $0 == 2 } == true) }
    }

    @Test func aSubsetKeepsTheCorpusNumbers() throws {
        let direction = Direction("isl-eng")!
        let group = try sampler(directions: [direction]).group(update: 0, index: 0)
        #expect(Set(group.directions) == [corpus.directions.firstIndex(of: direction)!])
    }

    @Test func impossibleSamplersAreErrors() throws {
        expectError(.configuration, "training.tokens_per_group", "but is 5") { _ = try sampler(tokens: 5) }
        expectError(.configuration, "data.temperature", "0") { _ = try sampler(temperature: 0) }
        expectError(.configuration, "data.temperature", "nan") { _ = try sampler(temperature: .nan) }
        expectError(.configuration, "data.directions", "deu-eng", "eng-cat") {
            _ = try sampler(directions: [Direction("deu-eng")!])
        }
        expectError(.configuration, "data.directions") { _ = try sampler(directions: []) }
        let twice = [corpus.directions[0], corpus.directions[0]]
        expectError(.configuration, "data.directions") { _ = try sampler(directions: twice) }
    }

    @Test func theLongestSentenceFitsTheLeastBudget() throws {
        var longest = 0
        for direction in corpus.directions {
            for index in 0..<corpus.pairs(direction, .train) {
                let pair = corpus.sentence(direction, .train, index)
                longest = max(longest, pair.source.count + 2, pair.target.count + 1)
            }
        }
        let sampler = try sampler(tokens: longest)
        for update in 0..<50 { #expect(sampler.targetTokens(update: update).allSatisfy { $0 > 0 && $0 <= longest }) }
        expectError(.configuration, "\(longest)", "\(longest - 1)") { _ = try self.sampler(tokens: longest - 1) }
    }
}
