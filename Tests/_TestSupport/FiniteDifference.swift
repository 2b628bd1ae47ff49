import TensorCore

/// Gradients by central differences: slow, and independent of every backward rule.
public enum FiniteDifference {
    /// The largest difference between `gradient` and the derivative of `objective` with respect to `values`, relative to the
    /// largest derivative (at least `floor`). `values` are changed in place, one element at a time, and restored.
    ///
    /// In 32 bits the difference of two objectives is good to about 1e-7 · |objective| / step, and a cubic term adds step²:
    /// with the default step, objectives around 1 agree to some 1e-4.
    public static func deviation(
        of gradient: Tensor, at values: Tensor, step: Float = 1e-2, floor: Double = 0.05, objective: () -> Double
    ) -> Double {
        precondition(gradient.count == values.count)
        var largest = 0.0, magnitude = floor
        for i in 0..<values.count {
            let value = values.pointer[i]
            values.pointer[i] = value + step
            let (above, upper) = (objective(), values.pointer[i])
            values.pointer[i] = value - step
            let (below, lower) = (objective(), values.pointer[i])
            values.pointer[i] = value
            let derivative = (above - below) / (Double(upper) - Double(lower))
            let actual = Double(gradient.pointer[i])
            guard actual.isFinite else { return .infinity }
            largest = max(largest, abs(derivative - actual))
            magnitude = max(magnitude, abs(derivative))
        }
        return largest / magnitude
    }
}
