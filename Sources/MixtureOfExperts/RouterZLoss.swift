import Foundation
import TensorCore

/// The router z-loss of one gate ("ST-MoE", arXiv 2202.08906): the mean over tokens of (log Σ e^score)², which keeps scores
/// small; no tokens give 0. Its derivative with respect to a score is 2 log Σ · p / tokens.
enum RouterZLoss {
    /// scores ← softmax(scores), row by row; returns each row's log Σ e^score.
    static func normalize(_ scores: Tensor) -> [Float] {
        (0..<scores.rows).map { token in
            let row = scores.row(token), best = StratifiedRouter.largest(row, scores.columns), largest = row[best]
            SoftmaxKernel.normalize(row, count: scores.columns)
            // p of the largest score is e^score / Σ, and far from 0.
            return largest - log(row[best])
        }
    }

    static func value(_ logSums: [Float]) -> Float {
        Float(logSums.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(max(logSums.count, 1)))
    }
}
