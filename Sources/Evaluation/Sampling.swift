import Foundation
import TensorCore
import TransformerModel

/// Translations drawn from the model's distribution, token after token.
public struct Sampling: Search {
    /// Translations a sentence.
    public var count: Int
    /// What logits are divided by: below 1 likely tokens are likelier still.
    public var temperature: Float
    /// Tokens that are drawn from, the likeliest; nil: all.
    public var topK: Int?
    public var limit: LengthLimit
    public var seed: UInt64

    public init(count: Int = 1, temperature: Float, topK: Int? = nil, limit: LengthLimit = LengthLimit(), seed: UInt64 = 1) {
        precondition(count >= 1 && temperature > 0 && topK ?? 1 >= 1)
        self.count = count
        self.temperature = temperature
        self.topK = topK
        self.limit = limit
        self.seed = seed
    }

    /// A translation on its way.
    private struct Draft {
        let sentence: Int
        let key: RandomKey
        var tokens: [Int32] = []
        var logProbability: Float = 0
        var row: Int?
    }

    /// Translations in the order they were drawn; a score is the mean log-probability of a token, at temperature 1.
    public func translations(
        _ scorer: some NextTokenScorer, _ sources: [[Int32]], numbers: [Int], vocabulary: SearchVocabulary
    ) throws -> [[Translation]] {
        let first = try scorer.begin(sources).lowerBound, key = RandomKey(seed: seed)
        var done = [[Translation]](repeating: [], count: sources.count)
        var live = sources.indices.flatMap { sentence in
            (0..<count).map { Draft(sentence: sentence, key: key.derived(numbers[sentence]).derived($0)) }
        }
        while !live.isEmpty {
            let rows = live.map {
                DecodingRow(token: $0.tokens.last ?? vocabulary.start, sentence: first + $0.sentence, parent: $0.row)
            }
            let draws = live.map { $0.key.uniform($0.tokens.count) }
            let chosenOfRows = try choose(scorer, rows, draws, forbidden: vocabulary.forbidden)
            for index in live.indices {
                let position = live[index].tokens.count, chosen = chosenOfRows[index]
                live[index].row = index
                live[index].logProbability += chosen?.logProbability ?? 0
                let token = chosen?.token ?? vocabulary.endOfSentence
                if token != vocabulary.endOfSentence { live[index].tokens.append(token) }
                let sentence = live[index].sentence
                if token == vocabulary.endOfSentence || position + 1 >= limit.longest(source: sources[sentence].count) {
                    let logProbability = live[index].logProbability
                    done[sentence].append(
                        Translation(
                            tokens: live[index].tokens, logProbability: logProbability,
                            score: logProbability / Float(position + 1)))
                    live[index].row = nil
                }
            }
            live.removeAll { $0.row == nil }
        }
        for sentence in sources.indices { scorer.end(first + sentence) }
        return done
    }

    /// The next token of each row; `draws` are from 0 to 1.
    private func choose(
        _ scorer: some NextTokenScorer, _ rows: [DecodingRow], _ draws: [Float], forbidden: [Int32]
    ) throws -> [TopLogProbabilities.Candidate?] {
        if let topK {
            let candidates = try scorer.best(min(topK, scorer.vocabulary), of: rows, forbidden: forbidden)
            return zip(candidates, draws).map { draw($0, $1) }
        }
        let logits = try scorer.logits(rows)
        return draws.indices.map { row in
            for token in forbidden { logits[row, Int(token)] = -.infinity }
            let weights = scorer.context.copy(logits.rows(row..<row + 1))
            SoftmaxKernel.normalize(weights.pointer, count: scorer.vocabulary, scale: 1 / temperature)
            SoftmaxKernel.normalize(logits.row(row), count: scorer.vocabulary)
            var left = draws[row]
            var chosen = 0
            // The last token of any weight, if rounding leaves a rest.
            for token in 0..<scorer.vocabulary where weights[0, token] > 0 && left >= 0 {
                chosen = token
                left -= weights[0, token]
            }
            return TopLogProbabilities.Candidate(token: Int32(chosen), logProbability: log(logits[row, chosen]))
        }
    }

    /// The candidate at place `uniform` of their probabilities, one after another; nil for none.
    private func draw(
        _ candidates: [TopLogProbabilities.Candidate], _ uniform: Float
    ) -> TopLogProbabilities.Candidate? {
        guard let best = candidates.first else { return nil }
        let weights = candidates.map { exp((Double($0.logProbability) - Double(best.logProbability)) / Double(temperature)) }
        var left = Double(uniform) * weights.reduce(0, +)
        for (candidate, weight) in zip(candidates, weights) {
            left -= weight
            if left < 0 { return candidate }
        }
        return best
    }
}
