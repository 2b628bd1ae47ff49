import Foundation
import TensorCore

/// The token groups of any training update, computed from (seed, update, group) alone: nothing earlier is replayed, and the
/// number of ranks plays no part.
///
/// **Order of the sentences.** With n_l pairs of direction l and N of all, direction l has n'_l = max(1, round(N·p_l)) places
/// in a *virtual epoch*, p_l ∝ (n_l / N)^(1/temperature). A keyed permutation shuffles the epoch's N' = Σ n'_l places. A place
/// of direction l stands for the running number epoch·n'_l + place; dividing it by n_l gives the pass over the direction and,
/// through a permutation keyed by direction and pass, the sentence. So within a pass no sentence comes twice, and each
/// direction's share of an epoch is exact.
///
/// **Filling of the groups.** Group g of update u owns `candidates` consecutive draws of that order. They are taken while
/// the source tokens and the target tokens, special ones included, both stay within the budget; the first that does not
/// fit ends the group, and the draws after it are left out: their sentences wait for another pass. The number of candidates
/// is the mean number that fits plus three standard deviations, so that the budget, not the candidates, ends nearly every group.
public struct TokenGroupSampler: Sendable {
    /// Draws a group may use.
    public let candidates: Int
    /// Token groups of an update.
    public let groups: Int
    /// The most tokens of a group, on either side.
    public let tokensPerGroup: Int
    /// The places of a virtual epoch, over all directions.
    public var epochLength: Int { firstPlaces[firstPlaces.count - 1] }

    private struct Source: Sendable {
        let pair: OrientedPair
        let count: Int
        let places: Int
        let key: UInt64
        let direction: Int
        let languageToken: Int32
    }

    private enum Purpose: UInt64 { case epoch = 1, sentences }

    private let sources: [Source]
    /// The first place of each source in a virtual epoch, and at the end their number, [sources + 1].
    private let firstPlaces: [Int]
    private let seed: UInt64
    private let endOfSentence: Int32
    private let subwords: SubwordSampler?

    /// - Parameters:
    ///   - directions: those to draw from, among the corpus's.
    ///   - temperature: 1 draws in proportion to the pairs; higher is more even; infinity is even.
    ///   - subwordSampling: α of the segmentations that are drawn; 0: the best, as stored.
    ///   - groups: token groups of an update.
    /// - Throws: `DataError.configuration` if a direction has no training text or a sentence is longer than the budget.
    public init(
        corpus: PreparedCorpus, directions: [Direction], temperature: Double, subwordSampling: Double = 0, seed: UInt64,
        groups: Int, tokensPerGroup: Int
    ) throws {
        precondition(groups > 0, "an update must have token groups")
        guard temperature > 0 else {
            throw DataError(.configuration, "data.temperature must be more than 0, but is \(temperature)")
        }
        guard !directions.isEmpty, Set(directions).count == directions.count else {
            throw DataError(
                .configuration,
                "data.directions must be one or more, each once, but are "
                    + "\(directions.map(\.description))")
        }
        let counts = directions.map { corpus.pairs($0, .train) }
        let total = Double(counts.reduce(0, +)), largest = Double(counts.max() ?? 0)
        // Over the largest: of the powers of shares of the whole, at a low temperature, none is more than 0.
        let weights = counts.map { pow(Double($0) / largest, 1 / temperature) }
        let weightSum = weights.reduce(0, +)
        var sources: [Source] = []
        var firstPlaces = [0]
        var source = Moments()
        var target = Moments()
        for (number, direction) in directions.enumerated() {
            let (index, languageToken) = try corpus.describe(direction)
            guard let pair = corpus.oriented(direction, .train), counts[number] > 0 else {
                throw DataError(
                    .configuration, "data.directions: \(direction) must have training pairs, but \(corpus.path) has none")
            }
            let longest = max(
                TokenGroupBuilder.sourceRows(pair.sourceLengths.longest),
                TokenGroupBuilder.targetRows(pair.targetLengths.longest))
            guard longest <= tokensPerGroup else {
                throw DataError(
                    .configuration,
                    "training.tokens_per_group must be at least \(longest), the longest sentence of \(direction) with its "
                        + "special tokens, but is \(tokensPerGroup): raise it, or lower data.maximum_length and prepare again")
            }
            let places = max(1, Int((total * weights[number] / weightSum).rounded()))
            let key = combinedKey(seed, Purpose.sentences.rawValue, UInt64(index))
            sources.append(
                Source(
                    pair: pair, count: counts[number], places: places, key: key, direction: index,
                    languageToken: languageToken))
            firstPlaces.append(firstPlaces[number] + places)
            source.add(pair.sourceLengths, count: counts[number], weight: Double(places), special: 2)
            target.add(pair.targetLengths, count: counts[number], weight: Double(places), special: 1)
        }
        self.sources = sources
        self.firstPlaces = firstPlaces
        self.seed = seed
        self.groups = groups
        self.tokensPerGroup = tokensPerGroup
        candidates = min(source.candidates(tokensPerGroup), target.candidates(tokensPerGroup))
        endOfSentence = corpus.tokenizer.endOfSentence
        subwords = subwordSampling > 0 ? SubwordSampler(tokenizer: corpus.tokenizer, alpha: subwordSampling) : nil
    }

    /// The groups of an update, in their order.
    public func groups(update: Int) -> [TokenGroup] { (0..<groups).map { group(update: update, index: $0) } }

    /// One group of an update.
    public func group(update: Int, index: Int) -> TokenGroup {
        var builder = TokenGroupBuilder(endOfSentence: endOfSentence)
        _ = fill(update, index) { source, sentence, drawn in
            if let drawn {
                builder.append(
                    direction: source.direction, languageToken: source.languageToken, source: { $0 += drawn.source },
                    target: { $0 += drawn.target })
            } else {
                builder.append(source.pair, sentence, direction: source.direction, languageToken: source.languageToken)
            }
        }
        return builder.group(index: index)
    }

    /// The target tokens of each group of an update, without building the groups: looks at lengths only, unless segmentations
    /// are drawn.
    public func targetTokens(update: Int) -> [Int] { (0..<groups).map { fill(update, $0) { _, _, _ in } } }

    /// Gives the sentences of a group in their order, with the tokens where segmentations are drawn; returns its target tokens.
    private func fill(
        _ update: Int, _ group: Int, _ take: (Source, Int, (source: [Int32], target: [Int32])?) -> Void
    ) -> Int {
        precondition(update >= 0 && group >= 0 && group < groups, "the group must be one of the update's")
        var sourceTokens = 0
        var targetTokens = 0
        // The order is endless, but numbers are not: after 2⁶² draws, which no machine gets to, it begins again.
        let first = (update &* groups &+ group) &* candidates & (Int.max >> 1)
        for draw in first..<(first + candidates) {
            let (number, sentence) = sentence(draw: draw)
            let pair = sources[number].pair
            let drawn = drawnTokens(pair, sentence, draw)
            sourceTokens += TokenGroupBuilder.sourceRows(drawn?.source.count ?? pair.source.length(sentence))
            let rows = TokenGroupBuilder.targetRows(drawn?.target.count ?? pair.target.length(sentence))
            if sourceTokens > tokensPerGroup || targetTokens + rows > tokensPerGroup { break }
            targetTokens += rows
            take(sources[number], sentence, drawn)
        }
        return targetTokens
    }

    /// The tokens of a drawn segmentation; nil for the stored one: also where the drawn one would not fit a group by itself.
    private func drawnTokens(_ pair: OrientedPair, _ sentence: Int, _ draw: Int) -> (source: [Int32], target: [Int32])? {
        guard let subwords else { return nil }
        let key = RandomKey(seed: seed).derived("subwords").derived(draw)
        let source = subwords.resample(pair.source.sentence(sentence), key: key.derived(0))
        let target = subwords.resample(pair.target.sentence(sentence), key: key.derived(1))
        let fits = max(TokenGroupBuilder.sourceRows(source.count), TokenGroupBuilder.targetRows(target.count)) <= tokensPerGroup
        return fits ? (source, target) : nil
    }

    /// What a draw of the endless order is: the number of the direction among the sampler's, and the sentence.
    func sentence(draw: Int) -> (source: Int, sentence: Int) {
        let epoch = draw / epochLength
        let epochOrder = KeyedPermutation(count: epochLength, key: combinedKey(seed, Purpose.epoch.rawValue, UInt64(epoch)))
        let place = epochOrder[draw % epochLength]
        var low = 0
        var high = sources.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if firstPlaces[middle] <= place { low = middle } else { high = middle }
        }
        let source = sources[low]
        let running = epoch * source.places + place - firstPlaces[low]
        let pass = running / source.count
        let order = KeyedPermutation(count: source.count, key: combinedKey(source.key, UInt64(pass)))
        return (low, order[running % source.count])
    }
}

/// Mean and variance of the rows that a drawn sentence takes on one side.
private struct Moments {
    private var weight = 0.0
    private var sum = 0.0
    private var squares = 0.0

    /// `special`: the tokens that each sentence gets beside its own.
    mutating func add(_ lengths: PreparationManifest.Lengths, count: Int, weight: Double, special: Double) {
        let mean = Double(lengths.tokens) / Double(count)
        let square = Double(lengths.squares) / Double(count)
        self.weight += weight
        sum += weight * (mean + special)
        squares += weight * (square + 2 * special * mean + special * special)
    }

    /// How many draws exceed a budget nearly always.
    func candidates(_ budget: Int) -> Int {
        let mean = sum / weight
        let deviation = max(0, squares / weight - mean * mean).squareRoot()
        let fitting = Double(budget) / mean
        return Int((fitting + 3 * deviation * fitting.squareRoot() / mean).rounded(.up)) + 1
    }
}
