import TensorCore

extension Tape {
    /// y = x wᵀ + b: x [T, in], w [out, in], b [out] or none.
    public func linear(_ x: Variable, weight: Parameter, bias: Parameter?) -> Variable {
        let context = context
        let y = context.uninitialized(x.rows, weight.rows)
        context.clock.measure(.gemm, "linear") {
            weight.multiply(context, x: x.value, epilogue: bias.map { .bias($0.value.pointer) } ?? .none, into: y)
        }
        context.clock.countProducts(m: x.rows, n: weight.rows, k: weight.columns)
        return record(y, parameters: [weight] + (bias.map { [$0] } ?? [])) { dy in
            context.clock.measure(.gemm, "linear backward") {
                weight.backwardWeight(context, dy: dy, x: x.value)
                if let bias, bias.isTrained { Elementwise.addColumnSums(context, of: dy, to: bias.gradient) }
                let target = x.gradientTarget(context)
                weight.backwardInput(context, dy: dy, accumulate: target.accumulate, into: target.tensor)
            }
            context.clock.countProducts(weight.isTrained ? 2 : 1, m: x.rows, n: weight.rows, k: weight.columns)
        }
    }
}
