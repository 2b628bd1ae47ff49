import Files
import Foundation
import MixtureOfExperts
import Runs
import Training

/// `events.out.tfevents.*` of a run: its figures for TensorBoard, written as training goes on.
///
/// Every start of training writes a file of its own, which TensorBoard reads after those before it. The file says with which
/// update it goes on, and TensorBoard forgets what an interrupted run wrote of that update and later ones. Events that cannot
/// be written, because the disk is full, are left out: training goes on, and `metrics.jsonl` is the record.
final class TensorBoardLog {
    static let prefix = "events.out.tfevents."
    /// Updates between histograms, which are large, and of which TensorBoard shows few.
    private static let histogramsEvery = 10

    let path: String
    private let file: AppendedFile
    /// The experts that each gate sees.
    private let gates: [Range<Int>]
    /// Where experts come and go, blocks have different ones: a mean over all blocks together would count those that are absent.
    private let expertsStay: Bool
    /// What is to stand before the next event: the file's begin, until it is written.
    private var header: [UInt8]
    private var isFailing = false

    /// Begins a file in `folder` for training that goes on after update `update`.
    ///
    /// - Throws: `FileError`.
    convenience init(folder: String, continuingAfter update: Int, gates: [Range<Int>], expertsStay: Bool = true) throws {
        // Readers go through the files by name: a later start has a later time, however soon it follows.
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let latest =
            names.filter { $0.hasPrefix(Self.prefix) }
            .compactMap { Int($0.dropFirst(Self.prefix.count).prefix { $0.isNumber }) }.max() ?? 0
        let time = String(UInt(max(Int(Date().timeIntervalSince1970), latest &+ 1)), digits: 10)
        try self.init(
            path: "\(folder)/\(Self.prefix)\(time).strata", continuingAfter: update, gates: gates,
            expertsStay: expertsStay)
    }

    /// A log in a file of any name.
    init(path: String, continuingAfter update: Int, gates: [Range<Int>], expertsStay: Bool = true) throws {
        self.path = path
        self.gates = gates
        self.expertsStay = expertsStay
        header = Self.record(.fileVersion, step: 0) + Self.record(.sessionStart, step: update + 1)
        file = try AppendedFile(path: path, after: 0)
    }

    /// Writes an event's figures; gives why it could not, the first time in a row.
    func append(_ event: TrainingEvent) -> FileError? {
        switch event {
        case let .update(metrics): return write(summary(metrics), step: metrics.update)
        case let .validation(metrics): return write(summary(metrics), step: metrics.update)
        case .experts, .checkpoint, .checkpointFailed, .metricsFailed: return nil
        }
    }

    private func write(_ figures: [TensorBoardEvent.Figure], step: Int) -> FileError? {
        let failure = file.append(header + Self.record(.summary(figures), step: step)), wasFailing = isFailing
        isFailing = failure != nil
        if !isFailing { header = [] }
        return wasFailing ? nil : failure
    }

    private static func record(_ content: TensorBoardEvent.Content, step: Int) -> [UInt8] {
        TFRecord.framed(TensorBoardEvent(wallTime: Date().timeIntervalSince1970, step: step, content: content).encoded)
    }

    private func summary(_ metrics: UpdateMetrics) -> [TensorBoardEvent.Figure] {
        var figures: [TensorBoardEvent.Figure] = [
            .init("train/loss", metrics.loss), .init("train/nll", metrics.nll),
            .init("train/learning_rate", metrics.learningRate), .init("train/gradient_norm", metrics.gradientNorm),
            .init("train/tokens_per_second", metrics.tokensPerSecond),
            .init("train/target_tokens", Double(metrics.targetTokens)),
        ]
        if let utilization = metrics.flopsUtilization { figures.append(.init("train/flops_utilization", utilization)) }
        guard !gates.isEmpty else { return figures }
        figures += [
            .init("routing/rc", metrics.requestedCapacity),
            .init("routing/dropped_fraction", metrics.droppedFraction),
        ]
        figures += metrics.figures.map { .init("routing/\($0.name)", $0.value) }
        for (stratum, visible) in gates.enumerated() {
            let rows = metrics.load[stratum][visible].map(Double.init)
            if metrics.update % Self.histogramsEvery == 1 {
                figures.append(
                    .init("load/stratum_\(stratum)", TensorBoardEvent.Histogram(first: visible.lowerBound, amounts: rows)))
            }
            guard expertsStay else { continue }
            let busiest = RoutingStatistics.busiestOverMean(metrics.load[stratum][visible])
            figures.append(.init("load/stratum_\(stratum)_busiest_over_mean", busiest))
        }
        for (block, strata) in metrics.loadViolation.enumerated() {
            for (stratum, value) in strata.enumerated() {
                figures.append(.init("load/block_\(block)_stratum_\(stratum)_busiest_over_mean", value))
            }
        }
        return figures
    }

    private func summary(_ metrics: ValidationMetrics) -> [TensorBoardEvent.Figure] {
        let loss: [TensorBoardEvent.Figure] = [
            .init("validation/loss", metrics.validLoss), .init("validation/nll", metrics.validNll),
            .init("validation/perplexity", metrics.validPerplexity),
        ]
        return loss + (metrics.validBLEU.map { [.init("validation/bleu", $0)] } ?? [])
            + (gates.isEmpty ? [] : [.init("validation/rc", metrics.validRequestedCapacity)])
    }
}
