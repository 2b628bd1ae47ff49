import TensorCore

extension Tape {
    /// The loss of x [T, d] against `targets` under the output projection `weight` [V, d]. If the tape records, the gradient
    /// of `gradientScale` × the summed smoothed loss is computed here and starts backward: the weight's share of it is final
    /// before any operation is walked back.
    public func outputLoss(
        _ x: Variable, weight: Parameter, targets: [Int32], smoothing: Float, gradientScale: Float
    ) -> OutputLoss {
        guard isRecording else {
            return OutputLossKernel.run(
                context, precision: weight.precision, x: x.value, weight: weight.value, targets: targets, smoothing: smoothing,
                gradient: nil)
        }
        let dx = context.uninitialized(x.rows, x.columns)
        let loss = context.clock.measure(.loss, "output loss") {
            OutputLossKernel.run(
                context, precision: weight.precision, x: x.value, weight: weight.value, targets: targets, smoothing: smoothing,
                gradient: .init(scale: gradientScale, dx: dx, dweight: weight.isTrained ? weight.gradient : nil))
        }
        context.clock.countProducts(weight.isTrained ? 3 : 2, m: x.rows, n: weight.rows, k: weight.columns)
        x.receive(dx, context)
        return loss
    }
}
