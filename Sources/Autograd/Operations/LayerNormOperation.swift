import TensorCore

extension Tape {
    /// Layer normalisation of each row, [T, d] → [T, d].
    public func layerNorm(_ x: Variable, gain: Parameter, bias: Parameter) -> Variable {
        let context = context
        let y = context.uninitialized(x.rows, x.columns), statistics = context.uninitialized(x.rows, 2)
        LayerNormKernel.forward(context, x: x.value, gain: gain.value, bias: bias.value, into: y, statistics: statistics)
        return record(y, parameters: [gain, bias]) { dy in
            let target = x.gradientTarget(context)
            LayerNormKernel.backward(
                context, dy: dy, x: x.value, statistics: statistics, gain: gain.value, into: target.tensor,
                accumulate: target.accumulate, dgain: gain.gradientOrScratch(context),
                dbias: bias.gradientOrScratch(context))
        }
    }
}
