import Foundation
import TensorCore
import TransformerModel

/// Several models of one vocabulary as one: the probability of a token is the mean of theirs.
final class EnsembleScorer: NextTokenScorer {
    private let scorers: [any NextTokenScorer]

    init(_ scorers: [any NextTokenScorer]) {
        precondition(!scorers.isEmpty && scorers.allSatisfy { $0.vocabulary == scorers[0].vocabulary })
        self.scorers = scorers
    }

    var context: ComputeContext { scorers[0].context }
    var vocabulary: Int { scorers[0].vocabulary }

    func begin(_ sources: [[Int32]]) throws -> Range<Int> {
        let numbers = try scorers.map { try $0.begin(sources) }
        precondition(numbers.allSatisfy { $0 == numbers[0] }, "all have numbered the same sentences")
        return numbers[0]
    }

    /// Logarithms of the mean probabilities.
    func logits(_ rows: [DecodingRow]) throws -> Tensor {
        let logits = try scorers.map { try $0.logits(rows) }, mean = logits[0]
        for row in rows.indices {
            for part in logits { SoftmaxKernel.normalize(part.row(row), count: vocabulary) }
            for token in 0..<vocabulary {
                let sum = logits.dropFirst().reduce(mean[row, token]) { $0 + $1[row, token] }
                mean[row, token] = log(sum / Float(scorers.count))
            }
        }
        return mean
    }

    func end(_ sentence: Int) { for scorer in scorers { scorer.end(sentence) } }
}
