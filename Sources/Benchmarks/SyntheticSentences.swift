import DataPipeline
import Foundation
import TensorCore

/// Token groups of random tokens with lengths as translation has them: a group's length is log-normal around 26 tokens (σ 0.6, at
/// least 4, at most 128), its sentences are within a tenth below it, and source and target are equally long.
public struct SyntheticSentences: TokenGroupSource {
    public let groups: Int
    let tokensPerGroup: Int
    let vocabulary: Int
    let seed: UInt64

    /// - Precondition: the vocabulary has a word beyond `firstWord`.
    public init(groups: Int, tokensPerGroup: Int, vocabulary: Int, seed: UInt64) {
        precondition(vocabulary > Self.firstWord, "the sentences need a word besides the control tokens")
        self.groups = groups
        self.tokensPerGroup = tokensPerGroup
        self.vocabulary = vocabulary
        self.seed = seed
    }

    /// Tokens below it stand for control tokens, as a tokenizer's do.
    public static let firstWord = 4

    /// Token `index` of a text: any word of the vocabulary.
    ///
    /// - Precondition: the vocabulary has a word.
    public static func word(_ key: RandomKey, _ index: Int, vocabulary: Int) -> Int32 {
        Int32(firstWord) + Int32(key.bits(UInt32(index)) % UInt32(vocabulary - firstWord))
    }

    public func group(update: Int, index: Int) -> TokenGroup {
        let key = RandomKey(seed: seed).derived(update).derived(index)
        let lengths = lengths(key), segments = Segments(lengths: lengths)
        func tokens(_ purpose: Int) -> [Int32] {
            let key = key.derived(purpose)
            return (0..<segments.rows).map { Self.word(key, $0, vocabulary: vocabulary) }
        }
        return TokenGroup(
            index: index,
            batch: SentenceBatch(
                source: tokens(1), sourceSegments: segments, targetInput: tokens(2), targetOutput: tokens(3),
                targetSegments: segments), directions: lengths.map { _ in 0 })
    }

    public func targetTokens(update: Int) -> [Int] {
        (0..<groups).map { lengths(RandomKey(seed: seed).derived(update).derived($0)).reduce(0, +) }
    }

    private func lengths(_ key: RandomKey) -> [Int] {
        let drawn = Int(exp(Double(key.normal(0)) * 0.6 + log(26.0) - 0.18))
        let longest = min(max(4, drawn), 128), sentences = max(1, tokensPerGroup / longest)
        let shortest = max(3, longest * 9 / 10)
        return (0..<sentences).map { sentence in
            sentence == 0 ? longest : shortest + Int(key.uniform(100 + sentence) * Float(longest - shortest + 1))
        }
    }
}
