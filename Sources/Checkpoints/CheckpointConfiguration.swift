/// When checkpoints are written and how many stay.
public struct CheckpointConfiguration: Equatable, Sendable {
    /// Updates between checkpoints.
    public var every = 500
    /// The newest checkpoints that stay.
    public var keep = 3
    /// The checkpoints of the lowest validation loss that stay besides.
    public var keepBest = 1
    /// Whether training goes on while a checkpoint is written, at the price of a copy in memory.
    public var asynchronous = true

    public init() {}

    public var retention: CheckpointRetention { CheckpointRetention(newest: keep, best: keepBest) }
}
