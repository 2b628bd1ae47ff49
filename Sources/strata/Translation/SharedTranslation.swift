import Collectives
import Evaluation

/// Sentences that the first rank has, translated by all ranks together.
struct SharedTranslation {
    let translator: Translator
    let language: String
    let ranks: RankWorld

    /// A collective operation: the translations of `sentences`, which are numbered from `firstNumber` on; on every rank. Only the
    /// first rank's sentences count.
    func translations(of sentences: [[Int32]], firstNumber: Int, progress: (Int) -> Void) throws -> [[Translation]] {
        guard ranks.world.size > 1 else {
            return try translator.translations(of: sentences, firstNumber: firstNumber, to: language, progress: progress)
        }
        let lengths = try ranks.world.broadcast(varying: sentences.map { Int32($0.count) }, root: 0)
        let tokens = try ranks.world.broadcast(varying: sentences.flatMap { $0 }, root: 0)
        var all: [[Int32]] = [], start = 0
        for length in lengths {
            all.append(Array(tokens[start..<start + Int(length)]))
            start += Int(length)
        }
        // Sentences in a row are each another rank's. Their numbers, which draws are keyed by, are those of one rank.
        let own = (0..<all.count).map { $0 % ranks.world.size == ranks.world.rank ? all[$0] : [] }
        let found = try ranks.together {
            try translator.translations(of: own, firstNumber: firstNumber, to: language, progress: progress)
        }
        let decoded = try ranks.gather(found)
        return (0..<all.count).map { decoded[$0 % ranks.world.size][$0] }
    }

    /// A collective operation: whether the first rank says so.
    func agreed(_ value: Bool) throws -> Bool {
        ranks.world.size == 1 ? value : try ranks.world.broadcast(Int32(value ? 1 : 0), root: 0) == 1
    }
}
