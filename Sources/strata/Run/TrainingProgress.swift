import Foundation
import Reporting
import Runs
import Training

/// Draws a training run's events on the display of the first rank.
final class TrainingProgress {
    private let display: ProgressDisplay?
    private let updates: Int
    private let start = ContinuousClock.now
    private var tokens = 0
    private var skipped = 0

    init(display: ProgressDisplay?, updates: Int) {
        self.display = display
        self.updates = updates
    }

    func report(_ event: TrainingEvent) {
        guard let display else { return }
        switch event {
        case let .update(metrics):
            tokens += metrics.targetTokens
            if metrics.skipped {
                skipped += 1
                display.note(
                    "update \(metrics.update) was skipped: its loss is \(metrics.loss), its gradient norm "
                        + "\(metrics.gradientNorm); no checkpoint is written of it")
            }
            display.show(line(metrics))
        case let .experts(update, changes, pools):
            for (change, pool) in zip(changes, pools) where change.changesExperts {
                func list(_ experts: [Int], _ what: String) -> String {
                    experts.isEmpty ? "" : ", \(experts.map(String.init).joined(separator: " ")) \(what)"
                }
                display.note(
                    "update \(update): \(pool.block): \(pool.experts.count) experts"
                        + list(change.removed, "removed") + list(change.added.map(\.expert), "added"))
            }
        case let .validation(metrics):
            display.note(
                "update \(metrics.update): validation loss \(NumberText.decimal(metrics.validLoss, 3)), perplexity "
                    + NumberText.decimal(metrics.validPerplexity, 2)
                    + (metrics.validBLEU.map { ", BLEU \(NumberText.decimal($0, 2))" } ?? ""))
        case let .checkpoint(path, seconds):
            display.note("checkpoint \(path) (\(NumberText.decimal(seconds, 1)) s)")
        case let .checkpointFailed(error, count):
            display.note(
                "warning: \(error)\ntraining goes on without it (\(count) not written so far); the next save tries again")
        case let .metricsFailed(error):
            display.note("warning: \(error); training goes on, and these lines are written as soon as they can be")
        }
    }

    private func line(_ metrics: UpdateMetrics) -> String {
        let elapsed = (ContinuousClock.now - start) / .seconds(1)
        var text = "update \(metrics.update)/\(updates)  loss \(NumberText.decimal(metrics.loss, 3))  "
        if !metrics.load.isEmpty {
            text += "RC \(NumberText.decimal(metrics.requestedCapacity, 2))  "
            text += "dropped \(NumberText.decimal(100 * metrics.droppedFraction, 1))%  "
            let violation = metrics.loadViolation.joined().max() ?? 0
            text += "busiest expert \(NumberText.decimal(violation, 1))× the mean  "
        }
        text += "\(NumberText.count(Double(tokens) / elapsed)) tokens/s"
        if let utilization = metrics.flopsUtilization { text += " (MFU \(NumberText.decimal(100 * utilization, 0))%)" }
        return text + (metrics.secondsLeft.map { "  ETA \(NumberText.duration($0))" } ?? "")
    }

    /// Says how training ended, if it did.
    func finish(_ end: TrainingEnd, _ update: Int, _ folder: RunFolder) {
        guard end != .replicasChanged else { return }
        let elapsed = (ContinuousClock.now - start) / .seconds(1)
        let why =
            switch end {
            case .finished, .replicasChanged: "finished"
            case .patience: "training.patience: validation improves no more"
            case .timeLimit: "training.max_minutes reached"
            case .interrupted: "stopped as asked; add --resume to go on"
            }
        if skipped > 0 {
            display?.note("\(skipped) update(s) skipped: their loss or gradient norm was not finite")
        }
        display?.note(
            "\(why): update \(update), \(NumberText.duration(elapsed)), "
                + "\(NumberText.count(Double(tokens) / elapsed)) target tokens/s, "
                + "in \(folder.path)")
    }
}
