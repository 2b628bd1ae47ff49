/// Why a training run ended.
public enum TrainingEnd: Equatable, Sendable {
    /// All updates are done.
    case finished
    /// `training.patience` validations did not improve on the best before them.
    case patience
    /// `training.max_minutes` have passed.
    case timeLimit
    /// Someone asked it to stop; it can be resumed.
    case interrupted
    /// Other experts are to have copies: it goes on from the checkpoint just written, with a model that is made anew.
    case replicasChanged
}
