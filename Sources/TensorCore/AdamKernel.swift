/// One Adam update (Kingma and Ba, algorithm 1, with bias correction) in one pass over memory.
public enum AdamKernel {
    public struct Step: Sendable {
        public let learningRate: Float
        public let beta1: Float
        public let beta2: Float
        public let epsilon: Float
        /// What gradients are multiplied by first: clipping.
        public let gradientScale: Float
        let correction1: Float
        let correction2: Float

        /// `update` counts from 1.
        public init(
            update: Int, learningRate: Float, beta1: Float, beta2: Float, epsilon: Float, gradientScale: Float = 1
        ) {
            precondition(update >= 1, "updates count from 1")
            self.learningRate = learningRate
            self.beta1 = beta1
            self.beta2 = beta2
            self.epsilon = epsilon
            self.gradientScale = gradientScale
            correction1 = Float(1 - Self.power(Double(beta1), update))
            correction2 = Float(1 - Self.power(Double(beta2), update))
        }

        private static func power(_ base: Double, _ exponent: Int) -> Double {
            var result = 1.0, factor = base, rest = exponent
            while rest > 0 {
                if rest & 1 == 1 { result *= factor }
                factor *= factor
                rest >>= 1
            }
            return result
        }
    }

    /// Updates values and both moments in place, and sets the gradient to zero for the next update.
    public static func update(
        _ context: ComputeContext, _ step: Step, values: UnsafeMutableBufferPointer<Float>,
        gradients: UnsafeMutableBufferPointer<Float>, firstMoments: UnsafeMutableBufferPointer<Float>,
        secondMoments: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(gradients.count == values.count && firstMoments.count == values.count
            && secondMoments.count == values.count)
        guard let w = values.baseAddress, let g = gradients.baseAddress, let m = firstMoments.baseAddress,
            let v = secondMoments.baseAddress
        else { return }
        let rate = step.learningRate / step.correction1
        let inverse = 1 / step.correction2.squareRoot()
        context.pool.parallelRanges(values.count, grain: 1 << 15) { range in
            var c = range.lowerBound
            while c + 16 <= range.upperBound {
                let gradient = g.vector(at: c) * step.gradientScale
                let first = m.vector(at: c) + (gradient - m.vector(at: c)) * (1 - step.beta1)
                let second = v.vector(at: c) + (gradient * gradient - v.vector(at: c)) * (1 - step.beta2)
                m.store(first, at: c)
                v.store(second, at: c)
                w.store(w.vector(at: c) - first * rate / (second.squareRoot() * inverse + step.epsilon), at: c)
                g.store(.zero, at: c)
                c += 16
            }
            while c < range.upperBound {
                let gradient = g[c] * step.gradientScale
                m[c] += (gradient - m[c]) * (1 - step.beta1)
                v[c] += (gradient * gradient - v[c]) * (1 - step.beta2)
                w[c] -= m[c] * rate / (v[c].squareRoot() * inverse + step.epsilon)
                g[c] = 0
                c += 1
            }
        }
    }
}
