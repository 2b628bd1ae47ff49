import Foundation
import TensorCore
import TransformerModel

/// Beam search over a batch of sentences, as in fairseq: a hypothesis that ends among a sentence's best is finished, and a
/// sentence is done, and leaves the batch, when it has as many finished hypotheses as its beam is wide.
public struct BeamSearch: Search {
    /// Hypotheses a sentence; 1 is greedy search.
    public var beam: Int
    /// A hypothesis's score is its log-probability over length ^ penalty.
    public var lengthPenalty: Float
    public var limit: LengthLimit
    /// No n tokens in a row come twice in a translation; 0: they may.
    public var noRepeatNGram: Int

    public init(beam: Int = 5, lengthPenalty: Float = 1, limit: LengthLimit = LengthLimit(), noRepeatNGram: Int = 0) {
        precondition(beam >= 1 && noRepeatNGram >= 0)
        self.beam = beam
        self.lengthPenalty = lengthPenalty
        self.limit = limit
        self.noRepeatNGram = noRepeatNGram
    }

    public func translations(
        _ scorer: some NextTokenScorer, _ sources: [[Int32]], numbers: [Int], vocabulary: SearchVocabulary
    ) throws -> [[Translation]] {
        let first = try scorer.begin(sources).lowerBound
        var live = sources.enumerated().map { index, source in
            SearchedSentence(number: first + index, longest: limit.longest(source: source.count))
        }
        var done = [[Translation]](repeating: [], count: sources.count)
        while !live.isEmpty {
            let rows = live.flatMap { $0.rows(start: vocabulary.start) }
            let candidates = try scorer.best(
                min(2 * beam + mostBanned(live), scorer.vocabulary), of: rows, forbidden: vocabulary.forbidden)
            var row = 0
            for index in live.indices {
                let end = row + live[index].hypotheses.count
                live[index].extend(candidates[row..<end], firstRow: row, self, endOfSentence: vocabulary.endOfSentence)
                row = end
            }
            live.removeAll { sentence in
                guard sentence.hypotheses.isEmpty else { return false }
                scorer.end(sentence.number)
                // Those that finished first stand first among equal ones.
                done[sentence.number - first] = sentence.finished.enumerated()
                    .sorted { (-$0.element.score, $0.offset) < (-$1.element.score, $1.offset) }.map(\.element)
                return true
            }
        }
        return done
    }

    /// The best translation of each source sentence, without the end of sentence.
    public func translate(
        _ scorer: some NextTokenScorer, _ sources: [[Int32]], vocabulary: SearchVocabulary
    ) throws -> [[Int32]] {
        try translations(scorer, sources, numbers: Array(sources.indices), vocabulary: vocabulary).map {
            $0.first?.tokens ?? []
        }
    }

    /// Candidates that may have to be passed over.
    private func mostBanned(_ live: [SearchedSentence]) -> Int {
        noRepeatNGram == 0 ? 0 : live.reduce(0) { max($0, $1.length - noRepeatNGram + 1) }
    }
}

/// A sentence that is being translated.
private struct SearchedSentence {
    struct Hypothesis {
        var tokens: [Int32] = []
        var logProbability: Float = 0
        /// The row of the last step that it continues; nil before the first.
        var row: Int?
    }

    /// The scorer's.
    let number: Int
    let longest: Int
    private(set) var hypotheses = [Hypothesis()]
    private(set) var finished: [Translation] = []

    init(number: Int, longest: Int) {
        self.number = number
        self.longest = longest
    }

    /// Tokens of each hypothesis.
    var length: Int { hypotheses.first?.tokens.count ?? 0 }

    func rows(start: Int32) -> [DecodingRow] {
        hypotheses.map { DecodingRow(token: $0.tokens.last ?? start, sentence: number, parent: $0.row) }
    }

    /// One step: `candidates` are the hypotheses' next tokens, of which the first is row `firstRow` of the step.
    mutating func extend(
        _ candidates: ArraySlice<[TopLogProbabilities.Candidate]>, firstRow: Int, _ search: BeamSearch, endOfSentence: Int32
    ) {
        let beam = search.beam, length = length + 1
        var extensions: [(hypothesis: Int, token: Int32, logProbability: Float)] = []
        extensions.reserveCapacity(candidates.count * 2 * beam)
        for (index, (hypothesis, candidates)) in zip(hypotheses, candidates).enumerated() {
            let banned = NGramRepetition.completions(of: hypothesis.tokens, search.noRepeatNGram)
            var taken = 0
            for candidate in candidates where taken < 2 * beam && !banned.contains(candidate.token) {
                extensions.append((index, candidate.token, hypothesis.logProbability + candidate.logProbability))
                taken += 1
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
                if rank < beam { finish(hypotheses[parent].tokens, logProbability, length, search) }
            } else if next.count < beam {
                next.append(
                    Hypothesis(
                        tokens: hypotheses[parent].tokens + [token], logProbability: logProbability, row: firstRow + parent))
            }
        }
        if finished.count >= beam {
            next = []
        } else if length >= longest {
            // Too long: what there is counts as finished, so that a sentence always has a translation.
            for hypothesis in next { finish(hypothesis.tokens, hypothesis.logProbability, length, search) }
            next = []
        }
        hypotheses = next
    }

    private mutating func finish(_ tokens: [Int32], _ logProbability: Float, _ length: Int, _ search: BeamSearch) {
        finished.append(
            Translation(
                tokens: tokens, logProbability: logProbability,
                score: logProbability / pow(Float(length), search.lengthPenalty)))
    }
}

/// Repeated runs of tokens.
enum NGramRepetition {
    /// The tokens that would end n tokens in a row that `tokens` has already; none for n 0.
    static func completions(of tokens: [Int32], _ n: Int) -> Set<Int32> {
        guard n > 0, tokens.count >= n else { return [] }
        let last = tokens.suffix(n - 1)
        return Set((0...tokens.count - n).filter { tokens[$0..<$0 + n - 1].elementsEqual(last) }.map { tokens[$0 + n - 1] })
    }
}
