/// Why training cannot go on.
public enum TrainingError: Error, CustomStringConvertible {
    case nonFinite(update: Int, loss: Double, gradientNorm: Double, skipped: Int)
    case noValidationData

    public var description: String {
        switch self {
        case let .nonFinite(update, loss, gradientNorm, skipped):
            "training has diverged: \(skipped) updates in a row, the last one \(update), had a loss or gradient that is not a "
                + "finite number (loss \(loss), gradient norm \(gradientNorm)) and were skipped; resume from an earlier "
                + "checkpoint with a lower training.learning_rate, a longer training.warmup or a training.clip_norm"
        case .noValidationData:
            "the prepared data has no valid split for any trained direction: set training.validate_every to 0 or add one"
        }
    }
}
