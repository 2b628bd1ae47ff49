import Foundation

/// The endless order in which a stage of training draws sentences.
///
/// With n_l pairs of direction l and N of all, direction l has n'_l = max(1, round(N·p_l)) places in a *virtual epoch*,
/// p_l ∝ (n_l / N)^(1/temperature). A keyed permutation shuffles the epoch's N' = Σ n'_l places. A place of direction l stands for
/// the running number epoch·n'_l + place; dividing it by n_l gives the pass over the direction and, through a permutation keyed by
/// direction and pass, the sentence. So within a pass no sentence comes twice, and each direction's share of an epoch is exact.
///
/// Where a direction has several corpora, pairs count as often as the corpus's weight says, and the direction's places are shared
/// out ∝ weight × pairs; each corpus has passes of its own.
struct SentenceOrder: Sendable {
    /// The text of one direction in one corpus.
    struct Source: Sendable {
        let pair: OrientedPair
        /// The corpus's sentences among the pair's.
        let sentences: Range<Int>
        let places: Int
        let key: UInt64
        let direction: Int
        let languageToken: Int32
    }

    /// The places of a virtual epoch, over all sources.
    var epochLength: Int { firstPlaces[firstPlaces.count - 1] }

    private enum Purpose: UInt64 { case epoch = 1, sentences }

    private(set) var sources: [Source] = []
    /// Draws that a group of the token budget may use.
    let candidates: Int
    /// Where each source's places begin in a virtual epoch, and at the end their number.
    private var firstPlaces = [0]
    private let seed: UInt64
    /// Its number; the first draws as if it were the only one.
    private let stage: Int

    /// - Throws: `DataError.configuration` if a direction has no training text, a sentence is longer than the budget, or nothing is
    ///   left to draw from.
    init(
        corpus: PreparedCorpus, directions: [Direction], temperature: Double, seed: UInt64, tokensPerGroup: Int, stage: Int,
        _ weights: CorpusStage
    ) throws {
        (self.seed, self.stage) = (seed, stage)
        let texts = try directions.map { try Self.text($0, corpus, tokensPerGroup) }
        let counts = texts.map { text in
            text.pair.corpora.reduce(0) { $0 + weights.weight($1.name) * Double($1.sentences.count) }
        }
        let total = counts.reduce(0, +), largest = counts.max() ?? 0
        guard largest > 0 else {
            throw DataError(
                .configuration,
                "data.\(stage == 0 ? "weights" : "stages[\(stage - 1)].weights") must leave text of "
                    + "\(directions.map(\.description).joined(separator: ", ")), but weighs all corpora that have any with 0")
        }
        // Over the largest: of the powers of shares of the whole, at a low temperature, none is more than 0.
        let powers = counts.map { $0 > 0 ? pow($0 / largest, 1 / temperature) : 0 }
        let sum = powers.reduce(0, +)
        var source = DrawnRows(), target = DrawnRows()
        for (number, text) in texts.enumerated() {
            let (pair, index, languageToken) = text
            for (part, (name, sentences)) in pair.corpora.enumerated() {
                let count = weights.weight(name) * Double(sentences.count)
                guard count > 0 else { continue }
                let places = max(1, Int((total * powers[number] / sum * (count / counts[number])).rounded()))
                let key = Self.key(seed, Purpose.sentences, UInt64(index), UInt64(part), UInt64(stage))
                sources.append(
                    Source(
                        pair: pair, sentences: sentences, places: places, key: key, direction: index,
                        languageToken: languageToken))
                firstPlaces.append(firstPlaces[firstPlaces.count - 1] + places)
                source.add(pair.sourceLengths, count: pair.source.count, weight: Double(places), special: 2)
                target.add(pair.targetLengths, count: pair.source.count, weight: Double(places), special: 1)
            }
        }
        candidates = min(source.candidates(tokensPerGroup), target.candidates(tokensPerGroup))
    }

    /// A direction's training text, whose longest sentence fits a group.
    private static func text(
        _ direction: Direction, _ corpus: PreparedCorpus, _ tokensPerGroup: Int
    ) throws -> (pair: OrientedPair, index: Int, languageToken: Int32) {
        let (index, languageToken) = try corpus.describe(direction)
        guard let pair = corpus.oriented(direction, .train), pair.source.count > 0 else {
            throw DataError(
                .configuration, "data.directions: \(direction) must have training pairs, but \(corpus.path) has none")
        }
        let longest = max(
            TokenGroupBuilder.sourceRows(pair.sourceLengths.longest), TokenGroupBuilder.targetRows(pair.targetLengths.longest))
        guard longest <= tokensPerGroup else {
            throw DataError(
                .configuration,
                "training.tokens_per_group must be at least \(longest), the longest sentence of \(direction) with its "
                    + "special tokens, but is \(tokensPerGroup): raise it, or lower data.maximum_length and prepare again")
        }
        return (pair, index, languageToken)
    }

    /// The key of numbers, of which zeros at the end are left out.
    private static func key(_ seed: UInt64, _ purpose: Purpose, _ numbers: UInt64...) -> UInt64 {
        let further = numbers.dropFirst()
        let first = combinedKey(seed, purpose.rawValue, numbers[0])
        return further.allSatisfy { $0 == 0 } ? first : further.reduce(first) { combinedKey($0, $1) }
    }

    /// What a draw is: the number of the source, and the sentence of its pair.
    func sentence(draw: Int) -> (source: Int, sentence: Int) {
        let epoch = draw / epochLength
        let epochOrder = KeyedPermutation(
            count: epochLength, key: Self.key(seed, Purpose.epoch, UInt64(epoch), UInt64(stage)))
        let place = epochOrder[draw % epochLength]
        var low = 0
        var high = sources.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if firstPlaces[middle] <= place { low = middle } else { high = middle }
        }
        let source = sources[low], count = source.sentences.count
        let running = epoch * source.places + place - firstPlaces[low]
        let order = KeyedPermutation(count: count, key: combinedKey(source.key, UInt64(running / count)))
        return (low, source.sentences.lowerBound + order[running % count])
    }
}

/// Mean and variance of the rows that a drawn sentence takes on one side.
private struct DrawnRows {
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
