import Foundation

/// What a batch of target tokens costs, summed over them.
public struct OutputLoss: Sendable, Equatable {
    /// Label-smoothed cross-entropy, in nats.
    public var smoothed = 0.0
    /// Plain cross-entropy: negative log-likelihood, in nats.
    public var negativeLogLikelihood = 0.0
    public var tokens = 0

    public init() {}

    public static func += (left: inout OutputLoss, right: OutputLoss) {
        left.smoothed += right.smoothed
        left.negativeLogLikelihood += right.negativeLogLikelihood
        left.tokens += right.tokens
    }
}

/// Output projection, label-smoothed cross-entropy and their gradient as one operation over chunks of rows: the
/// [tokens, vocabulary] matrix never exists as a whole.
///
/// With smoothing ε and V words, a token's loss is (1 − ε) · (−log p[target]) + ε / V · Σ −log p.
public enum OutputLossKernel {
    /// Floats of a chunk of logits.
    private static let chunk = 1 << 23

    /// What the gradient is multiplied by, and where it goes.
    public struct Gradient {
        public let scale: Float
        /// Written: the gradient of x, [T, d].
        public let dx: Tensor
        /// Added to: the gradient of the weight, [V, d]; nil: it has none.
        public let dweight: Tensor?

        public init(scale: Float, dx: Tensor, dweight: Tensor?) {
            self.scale = scale
            self.dx = dx
            self.dweight = dweight
        }
    }

    /// x [T, d], weight [V, d], targets in 0 ..< V; products in `precision`.
    public static func run(
        _ context: ComputeContext, precision: GEMM.Precision = .float32, x: Tensor, weight: Tensor, targets: [Int32],
        smoothing: Float, gradient: Gradient?
    ) -> OutputLoss {
        precondition(targets.count == x.rows && weight.columns == x.columns)
        var result = OutputLoss()
        let vocabulary = weight.rows
        let rowsPerChunk = max(256, chunk / vocabulary)
        var start = 0
        while start < x.rows {
            let rows = start..<min(x.rows, start + rowsPerChunk)
            result += runChunk(
                context, precision: precision, x: x.rows(rows), weight: weight, targets: targets[rows], smoothing: smoothing,
                scale: gradient?.scale
            ) { logits in
                guard let gradient else { return }
                MatrixProduct.backwardInput(
                    context, precision: precision, dy: logits, w: weight, into: gradient.dx.rows(rows))
                if let dweight = gradient.dweight {
                    MatrixProduct.backwardWeight(context, precision: precision, dy: logits, x: x.rows(rows), into: dweight)
                }
            }
            start = rows.upperBound
        }
        result.tokens = targets.count
        return result
    }

    private static func runChunk(
        _ context: ComputeContext, precision: GEMM.Precision, x: Tensor, weight: Tensor, targets: ArraySlice<Int32>,
        smoothing: Float, scale: Float?, then useLogits: (Tensor) -> Void
    ) -> OutputLoss {
        let vocabulary = weight.rows
        let logits = context.uninitialized(x.rows, vocabulary)
        let costs = context.uninitialized(x.rows, 2)
        defer { withExtendedLifetime(costs) {} }
        let (lp, cp) = (logits.pointer, costs.pointer)
        targets.withUnsafeBufferPointer { targets in
            MatrixProduct.forward(context, precision: precision, x: x, w: weight, into: logits) { rows in
                for row in rows {
                    let (smoothed, likelihood) = crossEntropy(
                        lp + row * vocabulary, vocabulary, target: Int(targets[row]), smoothing: smoothing, scale: scale)
                    cp[2 * row] = smoothed
                    cp[2 * row + 1] = likelihood
                }
            }
        }
        useLogits(logits)
        var result = OutputLoss()
        for row in 0..<x.rows {
            result.smoothed += Double(cp[2 * row])
            result.negativeLogLikelihood += Double(cp[2 * row + 1])
        }
        return result
    }

    /// Turns a row of logits into its gradient, times `scale`, if one is asked for; returns the row's two losses.
    private static func crossEntropy(
        _ z: UnsafeMutablePointer<Float>, _ count: Int, target: Int, smoothing: Float, scale: Float?
    ) -> (smoothed: Float, likelihood: Float) {
        precondition(target >= 0 && target < count, "token \(target) is not in the vocabulary")
        let maximum = SoftmaxKernel.maximum(z, count: count)
        let targetLogit = z[target] - maximum
        var sums = Vector.zero, c = 0
        while c + 16 <= count { sums += z.vector(at: c) - maximum; c += 16 }
        var logitSum = sums.total
        while c < count { logitSum += z[c] - maximum; c += 1 }
        let sum = SoftmaxKernel.exponentiate(z, count: count, scale: 1, maximum: maximum)
        let logSum = log(sum)
        if let scale {
            let factor = scale / sum, uniform = Vector(repeating: scale * smoothing / Float(count))
            c = 0
            while c + 16 <= count {
                z.store((Vector.zero - uniform).addingProduct(z.vector(at: c), Vector(repeating: factor)), at: c)
                c += 16
            }
            while c < count { z[c] = z[c] * factor - uniform[0]; c += 1 }
            z[target] -= scale * (1 - smoothing)
        }
        let likelihood = logSum - targetLogit
        let smoothed = (1 - smoothing) * likelihood + smoothing * (logSum - logitSum / Float(count))
        return (smoothed, likelihood)
    }
}
