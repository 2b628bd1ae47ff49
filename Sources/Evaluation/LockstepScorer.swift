import Collectives
import TensorCore
import TransformerModel

/// A model whose experts are spread over a group of ranks: its passes are collective, so all ranks step as long as any has rows,
/// and one that has none steps along with no row.
final class LockstepScorer: NextTokenScorer {
    private let scorer: any NextTokenScorer
    private let group: any Communicator

    init(_ scorer: any NextTokenScorer, group: any Communicator) {
        self.scorer = scorer
        self.group = group
    }

    var context: ComputeContext { scorer.context }
    var vocabulary: Int { scorer.vocabulary }

    /// Collective: every rank begins a batch, if only one of no sentence.
    func begin(_ sources: [[Int32]]) throws -> Range<Int> { try scorer.begin(sources) }

    func logits(_ rows: [DecodingRow]) throws -> Tensor {
        _ = try isStepTaken(byThisRank: true)
        return try scorer.logits(rows)
    }

    func best(_ count: Int, of rows: [DecodingRow], forbidden: [Int32]) throws -> [[TopLogProbabilities.Candidate]] {
        _ = try isStepTaken(byThisRank: true)
        return try scorer.best(count, of: rows, forbidden: forbidden)
    }

    func end(_ sentence: Int) { scorer.end(sentence) }

    /// Steps along until every rank's batch is done. Collective.
    func finishBatch() throws {
        while try isStepTaken(byThisRank: false) { _ = try scorer.logits([]) }
    }

    private func isStepTaken(byThisRank: Bool) throws -> Bool {
        try group.allReduce(byThisRank ? 1 : 0, .maximum) == 1
    }
}
