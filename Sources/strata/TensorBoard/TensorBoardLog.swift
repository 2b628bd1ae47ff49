import Foundation
import TensorCore
import Training

/// `events.out.tfevents.*` of a run: its figures for TensorBoard, written as training goes on.
///
/// Every start of training writes a file of its own, which TensorBoard reads after those before it. The file says with which
/// update it goes on, and TensorBoard forgets what an interrupted run wrote of that update and later ones.
final class TensorBoardLog {
    static let prefix = "events.out.tfevents."

    /// Updates between histograms, which are large, and of which TensorBoard shows few.
    private static let histogramsEvery = 10

    let path: String
    private let file: FileHandle
    private let strata: [Int]

    /// Begins a file in `folder` for training that goes on after update `update`.
    init(folder: String, continuingAfter update: Int, strata: [Int]) throws {
        self.strata = strata
        // Readers go through the files by name: a later start has a later time, however soon it follows.
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let latest = names.filter { $0.hasPrefix(Self.prefix) }
            .compactMap { Int($0.dropFirst(Self.prefix.count).prefix { $0.isNumber }) }.max() ?? 0
        let time = String(max(Int(Date().timeIntervalSince1970), latest + 1))
        path = "\(folder)/\(Self.prefix)\(String(repeating: "0", count: max(0, 10 - time.count)))\(time).strata"
        guard FileManager.default.createFile(atPath: path, contents: nil), let file = FileHandle(forWritingAtPath: path) else {
            throw FileError(path: path, while: "creating")
        }
        self.file = file
        try write(.fileVersion, step: 0)
        try write(.sessionStart, step: update + 1)
    }

    func append(_ event: TrainingEvent) throws {
        switch event {
        case let .update(metrics): try write(.summary(summary(metrics)), step: metrics.update)
        case let .validation(metrics): try write(.summary(summary(metrics)), step: metrics.update)
        case .checkpoint, .checkpointFailed, .metricsFailed: break
        }
    }

    private func write(_ content: TensorBoardEvent.Content, step: Int) throws {
        let event = TensorBoardEvent(wallTime: Date().timeIntervalSince1970, step: step, content: content)
        do { try file.write(contentsOf: TFRecord.framed(event.encoded)) } catch {
            throw FileError(path: path, reason: "writing failed: \(error.localizedDescription)")
        }
    }

    private func summary(_ metrics: UpdateMetrics) -> [TensorBoardEvent.Figure] {
        var figures: [TensorBoardEvent.Figure] = [
            .init("train/loss", metrics.loss), .init("train/nll", metrics.nll),
            .init("train/learning_rate", metrics.learningRate), .init("train/gradient_norm", metrics.gradientNorm),
            .init("train/tokens_per_second", metrics.tokensPerSecond),
            .init("train/target_tokens", Double(metrics.targetTokens)),
        ]
        guard !metrics.load.isEmpty else { return figures }
        figures += [
            .init("routing/aux", metrics.aux), .init("routing/rc", metrics.roundsMean),
            .init("routing/dropped_fraction", metrics.droppedFraction),
        ]
        for (stratum, load) in metrics.load.enumerated() {
            // Of the experts that the gate sees.
            let first = strata[..<stratum].reduce(0, +), rows = load[first...].map(Double.init)
            let mean = rows.reduce(0, +) / Double(rows.count)
            if metrics.update % Self.histogramsEvery == 1 {
                figures.append(.init("load/stratum_\(stratum)", TensorBoardEvent.Histogram(first: first, amounts: rows)))
            }
            figures.append(.init("load/stratum_\(stratum)_busiest_over_mean", mean > 0 ? (rows.max() ?? 0) / mean : 0))
        }
        return figures
    }

    private func summary(_ metrics: ValidationMetrics) -> [TensorBoardEvent.Figure] {
        let loss: [TensorBoardEvent.Figure] = [
            .init("validation/loss", metrics.validLoss), .init("validation/nll", metrics.validNll),
            .init("validation/perplexity", metrics.validPerplexity),
        ]
        return strata.isEmpty ? loss : loss + [.init("validation/rc", metrics.validRoundsMean)]
    }
}
