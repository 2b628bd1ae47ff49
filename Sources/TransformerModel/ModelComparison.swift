import Autograd
import Foundation
import NeuralLayers
import TensorCore

/// Two models of the same vocabulary on the same text, the translation given, by the rules of evaluation.
public struct ModelComparison: Sendable {
    /// Target tokens.
    public private(set) var tokens = 0
    /// Cross-entropy per target token, in nats, of each.
    public private(set) var losses = (0.0, 0.0)
    /// The largest difference of two logits, over the largest logit.
    public private(set) var relativeDifference: Float = 0

    public init(_ first: TranslationModel, _ second: TranslationModel, on batches: [SentenceBatch]) throws {
        var (largest, difference): (Float, Float) = (0, 0), sums = (0.0, 0.0)
        for batch in batches {
            let (a, b) = (try first.logits(of: batch), try second.logits(of: batch))
            for index in 0..<a.count {
                largest = max(largest, abs(a.pointer[index]))
                difference = max(difference, abs(a.pointer[index] - b.pointer[index]))
            }
            tokens += batch.targetOutput.count
            sums.0 += Self.loss(a, batch.targetOutput)
            sums.1 += Self.loss(b, batch.targetOutput)
        }
        losses = (sums.0 / Double(max(tokens, 1)), sums.1 / Double(max(tokens, 1)))
        relativeDifference = difference / max(largest, .leastNormalMagnitude)
    }

    private static func loss(_ logits: Tensor, _ targets: [Int32]) -> Double {
        targets.indices.reduce(0) { sum, row in
            let values = UnsafeBufferPointer(start: logits.row(row), count: logits.columns), largest = values.max() ?? 0
            let total = values.reduce(0.0) { $0 + exp(Double($1 - largest)) }
            return sum + Double(largest) - Double(values[Int(targets[row])]) + log(total)
        }
    }
}

extension TranslationModel {
    /// Logits [target tokens, V] of a batch, the translation given, by the rules of evaluation.
    func logits(of batch: SentenceBatch) throws -> Tensor {
        let pass = ForwardPass(tape: Tape(context, recording: false), isTraining: false, key: RandomKey(seed: 0))
        let states = try states(of: batch, pass), logits = context.uninitialized(states.rows, vocabulary)
        embedding.weight.multiply(context, x: states.value, into: logits)
        return logits
    }
}
