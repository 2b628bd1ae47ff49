import Collectives
import Foundation
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import TransformerModel
import _TestSupport

@testable import Evaluation

@Suite struct BeamSearchTests {
    private static func translate(
        _ model: TranslationModel, _ sources: [[Int32]], beam: Int, penalty: Float = 1
    ) throws -> [[Int32]] {
        try BeamSearch(beam: beam, lengthPenalty: penalty).translate(
            ModelScorer(model), sources, vocabulary: SearchModel.searchVocabulary)
    }

    private static func sources(_ lengths: [Int], vocabulary: Int, seed: UInt64 = 1) -> [[Int32]] {
        lengths.enumerated().map { drawnTokens($1, of: 4..<Int32(vocabulary), seed: seed &* 100 &+ UInt64($0)) }
    }

    private static func mixture(_ strata: [Int]) -> MixtureConfiguration? {
        strata.isEmpty ? nil : MixtureConfiguration(strata: strata)
    }

    /// The likeliest word, again and again, until the end of sentence or the limit.
    private static func greedy(_ model: TranslationModel, _ source: [Int32]) throws -> [Int32] {
        var tokens: [Int32] = []
        while tokens.count < LengthLimit().longest(source: source.count) {
            let next = try SearchModel.nextLogProbabilities(model, source: source, tokens: tokens).last!
            let best = Int32(next.indices.max { next[$0] < next[$1] }!)
            if best == SearchModel.endOfSentence { return tokens }
            tokens.append(best)
        }
        return tokens
    }

    @Test(arguments: [[], [4], [2, 3]]) func aBeamOfOneIsGreedy(strata: [Int]) throws {
        try alone { rank in
            var lengths: Set<Int> = []
            for seed in 1...4 as ClosedRange<UInt64> {
                let model = try SearchModel.make(Self.mixture(strata), on: rank, vocabulary: 12, seed: seed)
                let sources = Self.sources([3, 1, 6], vocabulary: 12, seed: seed)
                let translations = try Self.translate(model, sources, beam: 1)
                for (source, translation) in zip(sources, translations) {
                    #expect(try translation == Self.greedy(model, source), "seed \(seed)")
                    lengths.insert(translation.count)
                }
            }
            #expect(lengths.count > 2, "the examples must differ: \(lengths)")
        }
    }

    /// All that can be said in so few words that a beam goes through all of it.
    struct Exhaustive: Sendable {
        let words: [Int32]
        let forbidden: [Int32]
        let longest: Int
        let beam: Int

        /// The scores of all translations of at most `longest` words.
        func scores(_ model: TranslationModel, _ source: [Int32], penalty: Float) throws -> [[Int32]: Double] {
            var scores: [[Int32]: Double] = [:]
            let full = (0..<longest).reduce([[]] as [[Int32]]) { prefixes, _ in
                prefixes.flatMap { prefix in words.map { prefix + [$0] } }
            }
            for tokens in full {
                let next = try SearchModel.nextLogProbabilities(model, source: source, tokens: tokens, forbidden: forbidden)
                var logProbability = 0.0
                for length in 0...longest {
                    let ended = logProbability + next[length][Int(SearchModel.endOfSentence)]
                    scores[Array(tokens.prefix(length))] = ended / pow(Double(length + 1), Double(penalty))
                    if length < longest { logProbability += next[length][Int(tokens[length])] }
                }
            }
            return scores
        }
    }

    static let exhaustive = [
        // 1 + 3 + 9 + 27 + 81 ways; 4 · 81 continuations of the longest.
        Exhaustive(words: [0, 4, 5], forbidden: [2, 3], longest: 4, beam: 365),
        // 1 + 2 + … + 32 ways; 3 · 32 continuations. Half of the vocabulary is forbidden.
        Exhaustive(words: [4, 5], forbidden: [0, 2, 3], longest: 5, beam: 100),
    ]

    private static func score(_ model: TranslationModel, _ source: [Int32], _ tokens: [Int32], penalty: Float) throws -> Double
    {
        try SearchModel.logProbability(model, source: source, tokens: tokens) / pow(Double(tokens.count + 1), Double(penalty))
    }

    @Test(arguments: exhaustive) func aWideBeamFindsTheBest(example: Exhaustive) throws {
        try alone { rank in
            var lengths: Set<Int> = [], greedyDiffers = 0
            for seed in 1...16 as ClosedRange<UInt64> {
                let model = try SearchModel.make(on: rank, vocabulary: 6, seed: seed, sharpness: 1.5)
                let source = Self.sources([3], vocabulary: 6, seed: seed)[0]
                let vocabulary = SearchVocabulary(
                    start: 3, endOfSentence: SearchModel.endOfSentence, forbidden: example.forbidden)
                for penalty in [0, 0.5, 1] as [Float] {
                    func search(_ beam: Int) throws -> [Int32] {
                        try BeamSearch(beam: beam, lengthPenalty: penalty).translate(
                            ModelScorer(model), [source], vocabulary: vocabulary)[0]
                    }
                    let best = try example.scores(model, source, penalty: penalty).max { $0.value < $1.value }!
                    let found = try search(example.beam)
                    #expect(Set(found).isSubset(of: example.words))
                    if found.count <= example.longest {
                        #expect(found == best.key, "seed \(seed), penalty \(penalty)")
                        lengths.insert(found.count)
                        if try search(1) != found { greedyDiffers += 1 }
                    } else if found.count + 1 < LengthLimit().longest(source: source.count) {
                        // Longer ones are found only if they are better. (Those cut off at the limit have no end to score.)
                        let score = try SearchModel.logProbability(
                            model, source: source, tokens: found, forbidden: example.forbidden)
                        #expect(score / pow(Double(found.count + 1), Double(penalty)) > best.value - 1e-5, "seed \(seed)")
                    }
                }
            }
            #expect(lengths.count > 2, "the examples must differ: \(lengths)")
            #expect(greedyDiffers > 0, "search must have something to find")
        }
    }

    /// The penalty only chooses among what was finished: each choice is the best by its own measure, and longer the more
    /// length is favoured.
    @Test func lengthPenalty() throws {
        try alone { rank in
            let penalties: [Float] = [0, 0.6, 1, 2]
            var lengthened = 0
            for seed in 1...12 as ClosedRange<UInt64> {
                let model = try SearchModel.make(on: rank, vocabulary: 8, seed: seed)
                let source = Self.sources([2], vocabulary: 8, seed: seed)[0]
                let found = try penalties.map { try Self.translate(model, [source], beam: 8, penalty: $0)[0] }
                // A translation cut off at the limit has no end of sentence to score.
                guard found.allSatisfy({ $0.count + 1 < LengthLimit().longest(source: source.count) }) else { continue }
                for (penalty, own) in zip(penalties, found) {
                    for other in found {
                        #expect(
                            try Self.score(model, source, own, penalty: penalty)
                                >= Self.score(model, source, other, penalty: penalty) - 1e-4)
                    }
                }
                let lengths = found.map(\.count)
                #expect(lengths == lengths.sorted(), "seed \(seed): \(lengths)")
                if lengths.first! < lengths.last! { lengthened += 1 }
            }
            #expect(lengthened > 0)
        }
    }

    /// A model that never ends: the limit does.
    @Test(arguments: [1, 3]) func translationsEndAtTheLimit(beam: Int) throws {
        try alone { rank in
            let model = try SearchModel.make(on: rank, vocabulary: 9, seed: 2)
            let vocabulary = SearchVocabulary(
                start: 3, endOfSentence: SearchModel.endOfSentence, forbidden: [2, 3, SearchModel.endOfSentence])
            let sources = Self.sources([1, 4], vocabulary: 9)
            let translations = try BeamSearch(beam: beam).translate(ModelScorer(model), sources, vocabulary: vocabulary)
            #expect(translations.map(\.count) == [23, 32])
        }
    }

    @Test(arguments: [1, 4, 50]) func forbiddenTokensNeverAppear(beam: Int) throws {
        try alone { rank in
            for seed in 1...5 as ClosedRange<UInt64> {
                // So few words that a beam asks for more than are allowed.
                let model = try SearchModel.make(on: rank, vocabulary: 7, seed: seed, sharpness: 1)
                for translation in try Self.translate(model, Self.sources([2, 3], vocabulary: 7, seed: seed), beam: beam) {
                    #expect(Set(translation).isDisjoint(with: SearchModel.languages))
                    #expect(!translation.contains(SearchModel.endOfSentence))
                }
            }
        }
    }

    @Test func noSentences() throws {
        try alone { rank in
            for strata in [[], [2, 2]] {
                let model = try SearchModel.make(Self.mixture(strata), on: rank, vocabulary: 9, seed: 2)
                #expect(try Self.translate(model, [], beam: 3).isEmpty)
            }
        }
    }

    @Test func aSentenceWithoutTokens() throws {
        try alone { rank in
            let model = try SearchModel.make(on: rank, vocabulary: 9, seed: 2)
            let sources = Self.sources([3, 0, 2], vocabulary: 9)
            let all = try Self.translate(model, sources, beam: 3)
            #expect(all.count == 3)
            #expect(try all[0] == Self.translate(model, [sources[0]], beam: 3)[0])
            #expect(all[1].count <= LengthLimit().longest(source: 0))
        }
    }

    /// The plain search with unpacked weights, and this one with packed ones, on one thread and on two.
    @Test(arguments: [[], [4], [2, 3]]) func thePlainSearchFindsTheSame(strata: [Int]) throws {
        try alone { rank in
            for (beam, penalty) in [(1, 1), (4, 1), (5, 0.6)] as [(Int, Float)] {
                let model = try SearchModel.make(Self.mixture(strata), on: rank, vocabulary: 150, seed: 6)
                let sources = Self.sources([4, 1, 9, 4, 2, 7, 12, 3], vocabulary: 150, seed: UInt64(beam))
                let plain = try SimpleBeamSearch(beam: beam, lengthPenalty: penalty).translate(
                    ModelScorer(model), sources, vocabulary: SearchModel.searchVocabulary)
                #expect(try Self.translate(model, sources, beam: beam, penalty: penalty) == plain)
                model.packForInference()
                #expect(try Self.translate(model, sources, beam: beam, penalty: penalty) == plain)
                let shared = try BeamSearch(beam: beam, lengthPenalty: penalty).translate(
                    ModelScorer(model, context: ComputeContext(threads: 2)), sources, vocabulary: SearchModel.searchVocabulary)
                #expect(shared == plain)
                #expect(Set(plain).count > 4, "the examples must differ")
            }
        }
    }

    @Test func allThatFinishedIsThereBestFirst() throws {
        try alone { rank in
            let model = try SearchModel.make(on: rank, vocabulary: 20, seed: 3)
            let sources = Self.sources([4, 6], vocabulary: 20)
            let found = try BeamSearch(beam: 4).translations(
                ModelScorer(model), sources, numbers: [0, 1], vocabulary: SearchModel.searchVocabulary)
            let best = try Self.translate(model, sources, beam: 4)
            for (index, translations) in found.enumerated() {
                #expect(translations.count >= 4 && translations[0].tokens == best[index])
                #expect(translations.map(\.score) == translations.map(\.score).sorted(by: >))
                #expect(Set(translations.map(\.tokens)).count == translations.count)
                for translation in translations where translation.tokens.count < LengthLimit().longest(source: 4) {
                    let reference = try SearchModel.logProbability(
                        model, source: sources[index], tokens: translation.tokens)
                    #expect(abs(Double(translation.logProbability) - reference) < 1e-3)
                }
            }
        }
    }

    @Test func noNGramComesTwice() throws {
        try alone { rank in
            var repeats = 0
            for seed in 1...6 as ClosedRange<UInt64> {
                let model = try SearchModel.make(on: rank, vocabulary: 9, seed: seed)
                let sources = Self.sources([5, 9], vocabulary: 9, seed: seed)
                func repeated(_ n: Int) throws -> Int {
                    try BeamSearch(beam: 3, noRepeatNGram: n).translate(
                        ModelScorer(model), sources, vocabulary: SearchModel.searchVocabulary
                    ).reduce(0) { count, tokens in
                        let grams = tokens.count < 2 ? [] : (0...tokens.count - 2).map { Array(tokens[$0..<$0 + 2]) }
                        return count + grams.count - Set(grams).count
                    }
                }
                repeats += try repeated(0)
                #expect(try repeated(2) == 0, "seed \(seed)")
            }
            #expect(repeats > 0, "there must be something to forbid")
        }
    }

    @Test func completionsOfNGrams() {
        #expect(NGramRepetition.completions(of: [1, 2, 3, 1, 2], 3) == [3])
        #expect(NGramRepetition.completions(of: [1, 2, 1, 3, 1], 2) == [2, 3])
        #expect(NGramRepetition.completions(of: [1, 2], 1) == [1, 2])
        #expect(NGramRepetition.completions(of: [1, 2], 3).isEmpty && NGramRepetition.completions(of: [1, 1], 0).isEmpty)
    }

    /// Who else is in the batch changes nothing: routing is dropless.
    @Test(arguments: [[], [4], [2, 3]]) func companyChangesNothing(strata: [Int]) throws {
        try alone { rank in
            let model = try SearchModel.make(Self.mixture(strata), on: rank, vocabulary: 20, seed: 6)
            let sources = Self.sources([4, 1, 9, 4, 2, 7], vocabulary: 20)
            let together = try Self.translate(model, sources, beam: 4)
            let backwards = try Self.translate(model, sources.reversed(), beam: 4)
            #expect(Array(backwards.reversed()) == together)
            for (source, translation) in zip(sources, together) {
                #expect(try Self.translate(model, [source], beam: 4) == [translation])
            }
            #expect(Set(together).count > 3, "the examples must differ")
        }
    }
}
