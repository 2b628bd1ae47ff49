import Collectives
import DataPipeline
import Foundation

/// What happens in a training run, for whoever shows it.
public enum TrainingEvent {
    case update(UpdateMetrics)
    case validation(ValidationMetrics)
    case checkpoint(path: String, seconds: Double)
}

/// Why a training run ended.
public enum TrainingEnd: Equatable, Sendable {
    /// All updates are done.
    case finished
    /// `training.max_minutes` have passed.
    case timeLimit
    /// Someone asked it to stop; it can be resumed.
    case interrupted
}

/// Leads a run through its updates: when to validate, when to write a checkpoint, when to stop. Every rank has one, and all
/// decide the same.
public final class TrainingCoordinator {
    private let trainer: Trainer
    private let checkpoints: CheckpointStore
    private let cadence: CheckpointConfiguration
    private let heldOut: EvaluationGroups?
    /// The first rank's alone.
    private let log: MetricsLog?

    public init(
        trainer: Trainer, checkpoints: CheckpointStore, cadence: CheckpointConfiguration, heldOut: EvaluationGroups?,
        log: MetricsLog?
    ) {
        self.trainer = trainer
        self.checkpoints = checkpoints
        self.cadence = cadence
        self.heldOut = heldOut
        self.log = log
    }

    /// Runs until the updates are done, the time is up or `isInterrupted` is true on any rank. The state at the end is always a
    /// committed checkpoint.
    public func run(isInterrupted: () -> Bool, report: (TrainingEvent) throws -> Void) throws -> TrainingEnd {
        let configuration = trainer.configuration
        let start = ContinuousClock.now
        while trainer.update < configuration.updates {
            let minutes = (ContinuousClock.now - start) / .seconds(60)
            let isOverdue = configuration.maxMinutes > 0 && minutes >= configuration.maxMinutes
            let (metrics, end) = try trainer.step(isInterrupted: isInterrupted(), isOverdue: isOverdue)
            try log?.append(metrics)
            try report(.update(metrics))
            let isLast = trainer.update == configuration.updates
            // Validation comes before the checkpoint: a run that is resumed from it need not validate again.
            if isLast || end == .timeLimit || isDue(configuration.validateEvery) { try validate(report) }
            if isLast || end != nil || isDue(cadence.every) { try save(report) }
            if let end, !isLast { return end }
        }
        if trainer.update == 0 {
            try validate(report)
            try save(report)
        }
        return .finished
    }

    private func isDue(_ every: Int) -> Bool { every > 0 && trainer.update % every == 0 }

    private func validate(_ report: (TrainingEvent) throws -> Void) throws {
        guard let heldOut else { return }
        let metrics = try trainer.validate(heldOut)
        try log?.append(metrics)
        try report(.validation(metrics))
    }

    private func save(_ report: (TrainingEvent) throws -> Void) throws {
        let start = ContinuousClock.now
        let path = try checkpoints.save(
            step: trainer.update, seed: trainer.configuration.seed, store: trainer.model.store, optimizer: trainer.optimizer)
        try report(.checkpoint(path: path, seconds: (ContinuousClock.now - start) / .seconds(1)))
    }
}
