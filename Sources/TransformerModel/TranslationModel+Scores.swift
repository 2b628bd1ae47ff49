import Autograd
import Foundation
import NeuralLayers
import TensorCore

extension TranslationModel {
    /// ln p of each target token given those before it and the source, [target tokens]: forced decoding, by the rules of
    /// evaluation. `impossible` tokens, which search never produces, have no part in p.
    public func logProbabilities(of batch: SentenceBatch, impossible: [Int32] = []) throws -> [Float] {
        let pass = ForwardPass(tape: Tape(context, recording: false), isTraining: false, key: RandomKey(seed: 0))
        let states = try states(of: batch, pass).value
        var result = [Float](repeating: 0, count: batch.targetTokens)
        let rowsAtOnce = max(16, Self.floatsOfLogits / vocabulary)
        for start in stride(from: 0, to: result.count, by: rowsAtOnce) {
            let rows = start..<min(result.count, start + rowsAtOnce)
            let logits = context.uninitialized(rows.count, vocabulary)
            embedding.weight.multiply(context, x: states.rows(rows), into: logits)
            result.withUnsafeMutableBufferPointer { result in
                context.pool.parallelRanges(rows.count, grain: 4) { part in
                    for row in part {
                        result[start + row] = Self.logProbability(
                            logits.row(row), vocabulary, of: Int(batch.targetOutput[start + row]), impossible)
                    }
                }
            }
        }
        return result
    }

    /// Logits of so many tokens and words at a time.
    private static let floatsOfLogits = 1 << 22

    /// Writes over the logits. A probability too small for 32 bits has its logarithm all the same.
    private static func logProbability(
        _ logits: UnsafeMutablePointer<Float>, _ count: Int, of target: Int, _ impossible: [Int32]
    ) -> Float {
        for token in impossible { logits[Int(token)] = -.infinity }
        var best = 0
        for token in 1..<max(count, 1) where logits[token] > logits[best] { best = token }
        let difference = logits[target] - logits[best]
        SoftmaxKernel.normalize(logits, count: count)
        return difference + log(logits[best])
    }
}
