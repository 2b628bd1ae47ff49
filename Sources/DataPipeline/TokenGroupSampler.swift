import TensorCore

/// The token groups of any training update, computed from (seed, update, group) alone: nothing earlier is replayed, and the
/// number of ranks plays no part.
///
/// **Order of the sentences.** Each stage of training has an endless order of draws: see `SentenceOrder`.
///
/// **Filling of the groups.** Group g of update u owns `candidates` consecutive draws of its stage's order. They are taken while
/// the source tokens and the target tokens, special ones included, both stay within the budget; the first that does not
/// fit ends the group, and the draws after it are left out: their sentences wait for another pass. The number of candidates
/// is the mean number that fits plus three standard deviations, so that the budget, not the candidates, ends nearly every group.
public struct TokenGroupSampler: Sendable {
    /// Draws that a group may use.
    public var candidates: Int { stages.reduce(0) { max($0, $1.order.candidates) } }
    /// Token groups of an update.
    public let groups: Int
    /// The most tokens of a group, on either side.
    public let tokensPerGroup: Int
    /// The places of a virtual epoch of the first stage, over all directions.
    public var epochLength: Int { stages[0].order.epochLength }

    private struct Stage: Sendable {
        /// Updates before it.
        let after: Int
        let order: SentenceOrder
    }

    private let stages: [Stage]
    private let seed: UInt64
    private let endOfSentence: Int32
    private let subwords: SubwordSampler?

    /// - Parameters:
    ///   - directions: those to draw from, among the corpus's.
    ///   - temperature: 1 draws in proportion to the pairs; higher is more even; infinity is even.
    ///   - subwordSampling: α of the segmentations that are drawn; 0: the best, as stored.
    ///   - stages: the weights of corpora, one stage after the other, the first from update 0 on.
    ///   - groups: token groups of an update.
    /// - Throws: `DataError.configuration` if a direction has no training text, a sentence is longer than the budget, or a stage has
    ///   nothing to draw from.
    public init(
        corpus: PreparedCorpus, directions: [Direction], temperature: Double, subwordSampling: Double = 0,
        stages: [CorpusStage] = [CorpusStage()], seed: UInt64, groups: Int, tokensPerGroup: Int
    ) throws {
        precondition(groups > 0, "an update must have token groups")
        precondition(stages.first?.after == 0, "the first stage must begin with training")
        guard temperature > 0 else {
            throw DataError(.configuration, "data.temperature must be more than 0, but is \(temperature)")
        }
        guard !directions.isEmpty, Set(directions).count == directions.count else {
            throw DataError(
                .configuration,
                "data.directions must be one or more, each once, but are "
                    + "\(directions.map(\.description))")
        }
        self.stages = try stages.enumerated().map { number, stage in
            Stage(
                after: stage.after,
                order: try SentenceOrder(
                    corpus: corpus, directions: directions, temperature: temperature, seed: seed,
                    tokensPerGroup: tokensPerGroup, stage: number, stage))
        }
        self.seed = seed
        self.groups = groups
        self.tokensPerGroup = tokensPerGroup
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
        _ update: Int, _ group: Int,
        _ take: (SentenceOrder.Source, Int, (source: [Int32], target: [Int32])?) -> Void
    ) -> Int {
        precondition(update >= 0 && group >= 0 && group < groups, "the group must be one of the update's")
        var sourceTokens = 0
        var targetTokens = 0
        // Updates count from 1.
        let stage = stages.last { $0.after < update } ?? stages[0], order = stage.order
        // The order is endless, but numbers are not: after 2⁶² draws, which no machine gets to, it begins again.
        let first = ((update - stage.after) &* groups &+ group) &* order.candidates & (Int.max >> 1)
        for draw in first..<(first + order.candidates) {
            let (number, sentence) = order.sentence(draw: draw)
            let pair = order.sources[number].pair
            let drawn = drawnTokens(pair, sentence, draw, stage.after)
            sourceTokens += TokenGroupBuilder.sourceRows(drawn?.source.count ?? pair.source.length(sentence))
            let rows = TokenGroupBuilder.targetRows(drawn?.target.count ?? pair.target.length(sentence))
            if sourceTokens > tokensPerGroup || targetTokens + rows > tokensPerGroup { break }
            targetTokens += rows
            take(order.sources[number], sentence, drawn)
        }
        return targetTokens
    }

    /// The tokens of a drawn segmentation; nil for the stored one: also where the drawn one would not fit a group by itself.
    private func drawnTokens(
        _ pair: OrientedPair, _ sentence: Int, _ draw: Int, _ stage: Int
    ) -> (source: [Int32], target: [Int32])? {
        guard let subwords else { return nil }
        let key = RandomKey(seed: seed).derived("subwords").derived(stage).derived(draw)
        let source = subwords.resample(pair.source.sentence(sentence), key: key.derived(0))
        let target = subwords.resample(pair.target.sentence(sentence), key: key.derived(1))
        let fits = max(TokenGroupBuilder.sourceRows(source.count), TokenGroupBuilder.targetRows(target.count)) <= tokensPerGroup
        return fits ? (source, target) : nil
    }

    /// What a draw of the first stage is: the number of the direction among the sampler's, and the sentence.
    func sentence(draw: Int) -> (source: Int, sentence: Int) { stages[0].order.sentence(draw: draw) }
}
