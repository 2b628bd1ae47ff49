import Checkpoints
import Collectives
import DataPipeline
import Files
import Foundation
import MixtureOfExperts
import Training

/// What happens in a training run, for whoever shows it.
public enum TrainingEvent {
    case update(UpdateMetrics)
    /// After the update, blocks have other experts: what changed, by block.
    case experts(update: Int, changes: [PoolChange], pools: [ExpertPool])
    case validation(ValidationMetrics)
    /// A checkpoint is durable, so many seconds after its save began.
    case checkpoint(path: String, seconds: Double)
    /// A checkpoint was not written; training goes on. It is the `count`-th since training was started.
    case checkpointFailed(CheckpointError, count: Int)
    /// Lines of the metrics are held back until they can be written. On the first rank alone.
    case metricsFailed(FileError)
}

/// Leads a run through its updates: when to validate, when to write a checkpoint, when to stop. Every rank has one, and all
/// decide the same.
public final class TrainingCoordinator {
    private let trainer: Trainer
    private let checkpoints: CheckpointStore
    private let cadence: CheckpointConfiguration
    private let heldOut: EvaluationGroups?
    /// Measures the BLEU of held-out translations; collective; nil: validation is of the loss alone.
    private let bleu: (() throws -> Double)?
    /// The first rank's alone.
    private let log: MetricsLog?
    /// When training was started, from which on `training.max_minutes` count.
    private let started: ContinuousClock.Instant
    private var failedSaves = 0
    /// How the validations went, where training is to end when they no longer improve.
    private var patience: CheckpointManifest.Patience?

    public init(
        trainer: Trainer, checkpoints: CheckpointStore, cadence: CheckpointConfiguration, heldOut: EvaluationGroups?,
        bleu: (() throws -> Double)? = nil, log: MetricsLog?, patience: CheckpointManifest.Patience? = nil,
        started: ContinuousClock.Instant = .now
    ) {
        self.trainer = trainer
        self.checkpoints = checkpoints
        self.cadence = cadence
        self.heldOut = heldOut
        self.bleu = bleu
        self.log = log
        self.started = started
        let metric = trainer.configuration.patienceMetric
        if trainer.configuration.patience > 0 {
            self.patience = patience.flatMap { $0.isOf(metric) ? $0 : nil } ?? .init(metric)
        }
    }

    /// Runs until the updates are done, the time is up or `isInterrupted` is true on any rank. The state at the end is a committed
    /// checkpoint, unless the last update was skipped and no validation shows that it is of use; a checkpoint that cannot be
    /// written on the way is reported, and training goes on.
    public func run(isInterrupted: () -> Bool, report: (TrainingEvent) throws -> Void) throws -> TrainingEnd {
        do {
            let end = try lead(isInterrupted, report)
            try log?.finish()
            return end
        } catch let error as TrainingError {
            // Every rank throws it at the same update: what is being written may yet be of use.
            try settle(report)
            throw error
        }
    }

    private func lead(_ isInterrupted: () -> Bool, _ report: (TrainingEvent) throws -> Void) throws -> TrainingEnd {
        let configuration = trainer.configuration
        let start = ContinuousClock.now, first = trainer.update
        if isExhausted { return .patience }
        while trainer.update < configuration.updates {
            let minutes = (ContinuousClock.now - started) / .seconds(60)
            let isOverdue = configuration.maxMinutes > 0 && minutes >= configuration.maxMinutes
            var (metrics, stop) = try trainer.step(isInterrupted: isInterrupted(), isOverdue: isOverdue)
            metrics.secondsLeft = secondsLeft(since: start, after: first)
            try append(metrics, report)
            try report(.update(metrics))
            if let pools = trainer.pools, !trainer.poolChanges.isEmpty {
                try report(.experts(update: trainer.update, changes: trainer.poolChanges, pools: pools))
            }
            if !metrics.skipped { checkpoints.confirm() }
            try poll(report)
            var end = stop
            let isLast = trainer.update == configuration.updates
            // Validation comes before the checkpoint: a run that is resumed from it need not validate again.
            let isValidated = isLast || end == .timeLimit || isDue(configuration.validateEvery)
            let validation = isValidated ? try validate(report) : nil
            // A validation that an end of training brought about is none of the run that had not ended there.
            if let validation, isDue(configuration.validateEvery) {
                patience?.add(configuration.patienceMetric == .loss ? validation.validLoss : validation.validBLEU ?? .nan)
            }
            if isExhausted, end == nil { end = .patience }
            if isLast || end != nil {
                if !metrics.skipped || isSound(validation) { try saveLast(validation, report) } else { try settle(report) }
            } else if isDue(cadence.every), !metrics.skipped {
                if try save(validation, replicas: trainer.nextReplicas(), report) { end = .replicasChanged }
            }
            if let end, !isLast { return end }
        }
        if trainer.update == 0 { try saveLast(validate(report), report) }
        return .finished
    }

    /// At the mean speed since training was started at `start`, validation and checkpoints included.
    private func secondsLeft(since start: ContinuousClock.Instant, after first: Int) -> Double {
        let configuration = trainer.configuration, elapsed = (ContinuousClock.now - start) / .seconds(1)
        let left = elapsed / Double(trainer.update - first) * Double(configuration.updates - trainer.update)
        guard configuration.maxMinutes > 0 else { return left }
        return max(0, min(left, configuration.maxMinutes * 60 - (ContinuousClock.now - started) / .seconds(1)))
    }

    /// Whether it shows that training can go on from the state as it is. A skipped update shows that it cannot, or nothing: its
    /// state is that of the update before, and is saved only where this is known.
    private func isSound(_ validation: ValidationMetrics?) -> Bool { validation?.validLoss.isFinite ?? false }

    private var isExhausted: Bool {
        let most = trainer.configuration.patience
        return most > 0 && (patience?.since ?? 0) >= most
    }

    private func isDue(_ every: Int) -> Bool { every > 0 && trainer.update % every == 0 }

    private func validate(_ report: (TrainingEvent) throws -> Void) throws -> ValidationMetrics? {
        guard let heldOut else { return nil }
        // It may be long: a checkpoint that is whole in the meantime is committed.
        let metrics = try trainer.validate(heldOut, bleu: bleu) { try poll(report) }
        try append(metrics, report)
        try report(.validation(metrics))
        return metrics
    }

    private func append(_ metrics: some Encodable, _ report: (TrainingEvent) throws -> Void) throws {
        try log(report) { try $0.append(metrics) }
    }

    /// Has the first rank's log do something, and reports if that is when it begins to fail.
    private func log(_ report: (TrainingEvent) throws -> Void, _ body: (MetricsLog) throws -> Void) throws {
        guard let log else { return }
        let wasComplete = log.failure == nil
        try body(log)
        if wasComplete, let failure = log.failure { try report(.metricsFailed(failure)) }
    }

    /// Training waits here only for a save before this one that is still under way, and for one that it is to go on from.
    ///
    /// - Parameter replicas: the experts that are to have copies, where they are to be others.
    /// - Returns: whether training is to go on from this checkpoint, with these.
    private func save(
        _ validation: ValidationMetrics?, replicas: [String: [Int]]?, _ report: (TrainingEvent) throws -> Void
    ) throws -> Bool {
        try settle(report)
        let failedBefore = failedSaves
        do {
            try begin(validation, replicas: replicas, copying: cadence.asynchronous && replicas == nil, report)
            if !cadence.asynchronous || replicas != nil { try settle(report) }
        } catch let error as CheckpointError {
            try note(.failure(error), report)
        }
        return replicas != nil && failedSaves == failedBefore
    }

    /// What training ends with must be written.
    private func saveLast(_ validation: ValidationMetrics?, _ report: (TrainingEvent) throws -> Void) throws {
        try settle(report)
        try begin(validation, copying: false, report)
        guard let outcome = try checkpoints.complete() else { return }
        if case let .failure(error) = outcome { throw error }
        try note(outcome, report)
    }

    private func begin(
        _ validation: ValidationMetrics?, replicas: [String: [Int]]? = nil, copying: Bool,
        _ report: (TrainingEvent) throws -> Void
    ) throws {
        // A run that goes on from the checkpoint finds the lines of all updates before it.
        try log(report) { $0.sync() }
        try checkpoints.begin(
            step: trainer.update, applied: trainer.applied, earlierUpdates: trainer.earlierUpdates,
            seed: trainer.configuration.seed,
            validationLoss: validation?.validLoss, patience: patience, pools: trainer.pools,
            replicated: replicas ?? trainer.model.replicated,
            state: RankState(store: trainer.model.store, optimizer: trainer.optimizer, average: trainer.average),
            isSound: isSound(validation), copying: copying)
    }

    /// Sees whether the save that is under way has ended.
    private func poll(_ report: (TrainingEvent) throws -> Void) throws {
        if let outcome = try checkpoints.poll() { try note(outcome, report) }
    }

    /// Waits for the save that is under way.
    private func settle(_ report: (TrainingEvent) throws -> Void) throws {
        if let outcome = try checkpoints.complete() { try note(outcome, report) }
    }

    private func note(_ outcome: CheckpointStore.Outcome, _ report: (TrainingEvent) throws -> Void) throws {
        switch outcome {
        case let .success(committed):
            try report(.checkpoint(path: committed.path, seconds: committed.seconds))
        case let .failure(error):
            failedSaves += 1
            try report(.checkpointFailed(error, count: failedSaves))
        }
    }
}
