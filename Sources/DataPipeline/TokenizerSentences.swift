import Foundation

/// Both sides of the usable training pairs, thinned to the configured number of sentences.
///
/// Where there are more, part i with n_i pairs gives its share of them ∝ n_i^(1 / `data.tokenizer_temperature`), but no more
/// than it has, evenly spread over its text: languages with little text count, as the vocabulary is theirs too.
final class TokenizerSentences: Sequence, IteratorProtocol {
    /// Sentences that are given.
    let count: Int
    private let configuration: DataConfiguration
    private let heldOut: HeldOutPairs
    /// What is left to read: each part, its sentences and how many of them are given.
    private var parts: ArraySlice<(part: ParallelText.Part, sentences: Int, quota: Int)>
    private var current: (part: ParallelText.Part, sentences: Int, quota: Int)?
    private var reader: (any PairReader)?
    private var filter: LineFilter?
    private var pending: String?
    private var ordinal = 0
    /// What ended the sequence early; nil at a proper end.
    private(set) var failure: (any Error)?

    /// `pairs`: the usable pairs of each part.
    init(parts: [ParallelText.Part], pairs: [Int], configuration: DataConfiguration, heldOut: HeldOutPairs) {
        self.configuration = configuration
        self.heldOut = heldOut
        let quotas = Self.quotas(
            pairs.map { 2 * $0 }, limit: configuration.tokenizerSentences, temperature: configuration.tokenizerTemperature)
        count = quotas.reduce(0, +)
        self.parts = zip(parts, zip(pairs, quotas)).map { (part: $0, sentences: 2 * $1.0, quota: $1.1) }[...]
    }

    /// How many sentences each part gives, of those that it has: together `limit`, or all if that is more.
    static func quotas(_ sentences: [Int], limit: Int, temperature: Double) -> [Int] {
        guard sentences.reduce(0, +) > limit else { return sentences }
        var quotas = [Int](repeating: 0, count: sentences.count)
        let largest = Double(sentences.max() ?? 1)
        var open = sentences.indices.filter { sentences[$0] > 0 }
        var left = limit
        // A part whose share is more than it has gives all; what it leaves is shared by the others.
        while !open.isEmpty {
            let weights = open.map { pow(Double(sentences[$0]) / largest, 1 / temperature) }
            let sum = weights.reduce(0, +)
            let full = zip(open, weights).filter { Double(left) * $1 / sum >= Double(sentences[$0]) }.map(\.0)
            guard full.isEmpty else {
                for part in full { quotas[part] = sentences[part] }
                left -= full.reduce(0) { $0 + sentences[$1] }
                open.removeAll(where: full.contains)
                continue
            }
            var weight = 0.0
            var given = 0
            for (part, share) in zip(open, weights) {
                weight += share
                let end = Swift.min(left, Int((Double(left) * weight / sum).rounded()))
                quotas[part] = Swift.min(sentences[part], end - given)
                given = end
            }
            break
        }
        return quotas
    }

    func next() -> String? {
        while let sentence = nextSentence() {
            guard let current else { return nil }
            let isTaken = (ordinal + 1) * current.quota / current.sentences > ordinal * current.quota / current.sentences
            ordinal += 1
            if isTaken { return sentence }
        }
        return nil
    }

    private func nextSentence() -> String? {
        if let sentence = pending {
            pending = nil
            return sentence
        }
        do {
            while true {
                if reader == nil {
                    guard let next = parts.popFirst() else { return nil }
                    current = next
                    ordinal = 0
                    reader = try next.part.source.makeReader()
                    filter = LineFilter(configuration, next.part, heldOut)
                }
                guard let reader, let pair = try reader.next() else {
                    reader = nil
                    continue
                }
                guard let text = try filter?.text(of: pair, in: reader) else { continue }
                pending = text.target
                return text.source
            }
        } catch {
            failure = error
            return nil
        }
    }
}
