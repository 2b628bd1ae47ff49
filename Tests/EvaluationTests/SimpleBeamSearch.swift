import Foundation
import TensorCore
import TransformerModel

@testable import Evaluation

/// The search that `BeamSearch` must agree with, as plain as it can be: a hypothesis that ends among a sentence's best is
/// finished, and a sentence is done when it has as many finished hypotheses as its beam is wide.
struct SimpleBeamSearch: Sendable {
    /// Hypotheses a sentence; 1 is greedy search.
    var beam: Int
    /// A hypothesis's score is its log-probability over length ^ penalty.
    var lengthPenalty: Float
    /// The longest translation, in tokens; nil: `longest(source:)`.
    var lengthLimit: Int?

    init(beam: Int = 5, lengthPenalty: Float = 1) {
        precondition(beam >= 1)
        self.beam = beam
        self.lengthPenalty = lengthPenalty
    }

    private struct Hypothesis {
        var tokens: [Int32]
        var logProbability: Float
        /// Its row in the last step; nil before the first.
        var row: Int?
    }

    private struct Finished {
        let tokens: [Int32]
        let score: Float
    }

    /// The best translation of each source sentence, without the end of sentence.
    func translate(
        _ scorer: some NextTokenScorer, _ sources: [[Int32]], vocabulary: SearchVocabulary
    ) throws -> [[Int32]] {
        let sentences = try scorer.begin(sources)
        let limits = sources.map { lengthLimit ?? Self.longest(source: $0.count) }
        var live = sources.map { _ in [Hypothesis(tokens: [], logProbability: 0, row: nil)] }
        var finished = [[Finished]](repeating: [], count: sources.count)
        while live.contains(where: { !$0.isEmpty }) {
            var rows: [DecodingRow] = []
            for sentence in live.indices {
                for hypothesis in live[sentence].indices {
                    rows.append(
                        DecodingRow(
                            token: live[sentence][hypothesis].tokens.last ?? vocabulary.start,
                            sentence: sentences.lowerBound + sentence, parent: live[sentence][hypothesis].row))
                    live[sentence][hypothesis].row = rows.count - 1
                }
            }
            let candidates = TopLogProbabilities.select(
                scorer.context, logits: try scorer.logits(rows), count: min(2 * beam, scorer.vocabulary),
                forbidden: vocabulary.forbidden)
            for sentence in live.indices where !live[sentence].isEmpty {
                extend(
                    &live[sentence], &finished[sentence], candidates, endOfSentence: vocabulary.endOfSentence,
                    limit: limits[sentence])
                if live[sentence].isEmpty { scorer.end(sentences.lowerBound + sentence) }
            }
        }
        return finished.map { $0.max { $0.score < $1.score }?.tokens ?? [] }
    }

    /// The longest translation, in tokens, that is looked for unless told otherwise.
    static func longest(source: Int) -> Int { 3 * source + 20 }

    /// One step of one sentence.
    private func extend(
        _ live: inout [Hypothesis], _ finished: inout [Finished], _ candidates: [[TopLogProbabilities.Candidate]],
        endOfSentence: Int32, limit: Int
    ) {
        let length = live[0].tokens.count + 1
        var extensions: [(hypothesis: Int, token: Int32, logProbability: Float)] = []
        for (index, hypothesis) in live.enumerated() {
            for candidate in hypothesis.row.map({ candidates[$0] }) ?? [] {
                extensions.append((index, candidate.token, hypothesis.logProbability + candidate.logProbability))
            }
        }
        // Ties go to the earlier hypothesis, then to the likelier token: the order they stand in.
        let order = extensions.indices.sorted {
            (-extensions[$0].logProbability, $0) < (-extensions[$1].logProbability, $1)
        }
        var next: [Hypothesis] = []
        for (rank, index) in order.prefix(2 * beam).enumerated() {
            let (parent, token, logProbability) = extensions[index]
            if token == endOfSentence {
                if rank < beam { finish(live[parent].tokens, logProbability, length, &finished) }
            } else if next.count < beam {
                next.append(
                    Hypothesis(
                        tokens: live[parent].tokens + [token], logProbability: logProbability, row: live[parent].row))
            }
        }
        if finished.count >= beam {
            next = []
        } else if length >= limit {
            // Too long: what there is counts as finished, so that a sentence always has a translation.
            for hypothesis in next { finish(hypothesis.tokens, hypothesis.logProbability, length, &finished) }
            next = []
        }
        live = next
    }

    private func finish(_ tokens: [Int32], _ logProbability: Float, _ length: Int, _ finished: inout [Finished]) {
        finished.append(Finished(tokens: tokens, score: logProbability / pow(Float(length), lengthPenalty)))
    }
}
