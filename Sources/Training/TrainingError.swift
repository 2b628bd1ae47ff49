/// Why training cannot go on. Every rank throws it, at the same update.
public enum TrainingError: Error, CustomStringConvertible {
    case nonFinite(update: Int, loss: Double, gradientNorm: Double, skipped: Int)

    public var description: String {
        switch self {
        case let .nonFinite(update, loss, gradientNorm, skipped):
            "training has diverged: \(skipped) updates in a row, the last one \(update), had a loss or gradient that is not a "
                + "finite number (loss \(loss), gradient norm \(gradientNorm)) and were skipped; resume from an earlier "
                + "checkpoint with a lower training.learning_rate, a longer training.warmup or a training.clip_norm"
        }
    }
}
