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

        /// `update` counts from 1 what the moments have seen: the correction for their beginning at zero depends on it.
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
        precondition(
            gradients.count == values.count && firstMoments.count == values.count
                && secondMoments.count == values.count)
        guard let w = values.baseAddress, let g = gradients.baseAddress, let m = firstMoments.baseAddress,
            let v = secondMoments.baseAddress
        else { return }
        context.pool.parallelRanges(values.count, grain: 1 << 15) { range in
            var c = range.lowerBound
            while c + 16 <= range.upperBound {
                var element = Elements(w.vector(at: c), g.vector(at: c), m.vector(at: c), v.vector(at: c))
                element.advance(step)
                w.store(element.value, at: c)
                m.store(element.first, at: c)
                v.store(element.second, at: c)
                g.store(.zero, at: c)
                c += 16
            }
            if c < range.upperBound {
                let count = range.upperBound - c
                // Through the same arithmetic, so that a result does not depend on where a range ends.
                var element = Elements(
                    (w + c).first(count), (g + c).first(count), (m + c).first(count), (v + c).first(count))
                element.advance(step)
                (w + c).storeFirst(count, of: element.value)
                (m + c).storeFirst(count, of: element.first)
                (v + c).storeFirst(count, of: element.second)
                (g + c).update(repeating: 0, count: count)
            }
        }
    }

    /// A vector of parameters with their gradients and moments.
    private struct Elements {
        var value: Vector
        let gradient: Vector
        var first: Vector
        var second: Vector

        @inline(__always)
        init(_ value: Vector, _ gradient: Vector, _ first: Vector, _ second: Vector) {
            (self.value, self.gradient, self.first, self.second) = (value, gradient, first, second)
        }

        @inline(__always)
        mutating func advance(_ step: Step) {
            let rate = step.learningRate / step.correction1, inverse = 1 / step.correction2.squareRoot()
            let gradient = gradient * step.gradientScale
            first = first.addingProduct(gradient - first, Vector(repeating: 1 - step.beta1))
            second = second.addingProduct(gradient * gradient - second, Vector(repeating: 1 - step.beta2))
            let deviation = Vector(repeating: step.epsilon).addingProduct(second.root, Vector(repeating: inverse))
            value -= first * rate / deviation
        }
    }
}
