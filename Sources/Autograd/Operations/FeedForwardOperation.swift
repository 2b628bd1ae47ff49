import TensorCore

extension Tape {
    /// y = w2 relu(w1 h + b1), without the second bias, which `residualDropout` adds: h [T, d], w1 [ffn, d], w2 [d, ffn].
    public func feedForward(_ h: Variable, weight1: Parameter, bias1: Parameter, weight2: Parameter) -> Variable {
        let context = context
        func activate() -> Tensor {
            let activation = context.uninitialized(h.rows, weight1.rows)
            weight1.multiply(context, x: h.value, epilogue: .rectifiedBias(bias1.value.pointer), into: activation)
            return activation
        }
        let y = context.uninitialized(h.rows, weight2.rows)
        let saved: Tensor? = context.clock.measure(.gemm, "feed-forward") {
            let activation = activate()
            weight2.multiply(context, x: activation, into: y)
            return recomputes ? nil : activation
        }
        context.clock.countProducts(2, m: h.rows, n: weight1.rows, k: weight1.columns)
        return record(y, parameters: [weight1, bias1, weight2]) { dy in
            context.clock.measure(.gemm, "feed-forward backward") {
                let activation = saved ?? activate()
                weight2.backwardWeight(context, dy: dy, x: activation)
                let dactivation = context.uninitialized(activation.rows, activation.columns)
                weight2.backwardInput(
                    context, dy: dy,
                    epilogue: .rectifierGradient(activation: activation.pointer, stride: activation.columns), into: dactivation)
                withExtendedLifetime(activation) {}
                weight1.backwardWeight(context, dy: dactivation, x: h.value)
                if bias1.isTrained { Elementwise.addColumnSums(context, of: dactivation, to: bias1.gradient) }
                let target = h.gradientTarget(context)
                weight1.backwardInput(context, dy: dactivation, accumulate: target.accumulate, into: target.tensor)
            }
            let products = 2 + [weight1, weight2].count(where: \.isTrained)
            context.clock.countProducts(products, m: h.rows, n: weight1.rows, k: weight1.columns)
        }
    }
}
