import Foundation

/// How the learning rate goes on after its linear rise.
public enum LearningRateShape: String, CaseIterable, Sendable {
    /// Falls with 1 / √update (Vaswani et al. 2017).
    case inverseSquareRoot = "inverse_sqrt"
    /// Falls along half a cosine to the minimum at the last update (Loshchilov and Hutter 2017).
    case cosine
    /// Falls linearly to the minimum at the last update.
    case linear
    /// Stays.
    case constant
    /// Stays, and falls linearly to the minimum over the last updates (Hu et al. 2024).
    case warmupStableDecay = "warmup-stable-decay"
}

/// The learning rate of every update: linear from 1e-7 to the peak over the warm-up, as fairseq has it, and then by its shape.
public struct LearningRateSchedule: Sendable {
    public let peak: Float
    public let warmup: Int
    private let shape: LearningRateShape
    /// The last update, and the rate there, of shapes that have an end.
    private let updates: Int
    private let minimum: Float
    /// Of the updates, those at the end in which a stable rate decays.
    private let decayShare: Double
    static let initial: Float = 1e-7

    public init(
        peak: Float, warmup: Int, shape: LearningRateShape = .inverseSquareRoot, updates: Int = 0, minimum: Float = 0,
        decayShare: Double = 0
    ) {
        self.peak = peak
        self.warmup = warmup
        self.shape = shape
        self.updates = updates
        self.minimum = minimum
        self.decayShare = decayShare
    }

    public init(_ configuration: TrainingConfiguration) {
        self.init(
            peak: configuration.learningRate, warmup: configuration.warmup, shape: configuration.schedule,
            updates: configuration.updates, minimum: configuration.minimumLearningRate, decayShare: configuration.decayShare)
    }

    /// `update` counts from 1.
    public func rate(update: Int) -> Float {
        if update < warmup {
            return Self.initial + (peak - Self.initial) * Float(update) / Float(warmup)
        }
        switch shape {
        case .inverseSquareRoot: return peak * (Float(max(warmup, 1)) / Float(update)).squareRoot()
        case .constant: return peak
        case .linear: return falling(1 - progress(update, from: warmup))
        case .cosine: return falling(0.5 * (1 + cos(Double.pi * progress(update, from: warmup))))
        case .warmupStableDecay:
            return falling(1 - progress(update, from: max(warmup, Int((Double(updates) * (1 - decayShare)).rounded()))))
        }
    }

    /// From 0 at update `start` to 1 at the last.
    private func progress(_ update: Int, from start: Int) -> Double {
        update <= start ? 0 : min(1, Double(update - start) / Double(max(updates - start, 1)))
    }

    private func falling(_ share: Double) -> Float {
        let end = min(minimum, peak)
        return end + (peak - end) * Float(share)
    }
}
