/// The inverse square-root schedule (Vaswani et al. 2017, as fairseq has it): linear from 1e-7 to the peak over the warm-up,
/// then falling with 1 / sqrt(update).
public struct LearningRateSchedule: Sendable {
    public let peak: Float
    public let warmup: Int
    static let initial: Float = 1e-7

    public init(peak: Float, warmup: Int) {
        self.peak = peak
        self.warmup = warmup
    }

    /// `update` counts from 1.
    public func rate(update: Int) -> Float {
        if update < warmup {
            return Self.initial + (peak - Self.initial) * Float(update) / Float(warmup)
        }
        return peak * (Float(max(warmup, 1)) / Float(update)).squareRoot()
    }
}
