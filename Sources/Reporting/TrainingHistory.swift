import Foundation
import Training

/// What `metrics.jsonl` says of a run, finished or not.
public struct TrainingHistory: Equatable, Sendable {
    /// Metrics of the updates, in their order.
    public private(set) var updates: [UpdateMetrics] = []
    public private(set) var validations: [ValidationMetrics] = []
    /// Whole lines that are no figures of an update. The last line may be one that is being written: it does not count.
    public private(set) var unreadableLines = 0

    public init() {}

    /// Reads a log. Of two lines for one update, which a run that was resumed by hand may leave, the later one counts.
    public init(jsonLines data: Data) {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        var updates: [Int: UpdateMetrics] = [:], validations: [Int: ValidationMetrics] = [:]
        let endsWithLine = data.last.map { $0 == UInt8(ascii: "\n") } ?? true
        let lines = data.split(separator: UInt8(ascii: "\n"))
        for (index, line) in lines.enumerated() {
            switch try? decoder.decode(Line.self, from: line) {
            case let .update(metrics)? where metrics.isPossible: updates[metrics.update] = metrics
            case let .validation(metrics)? where Self.possibleUpdates.contains(metrics.update):
                validations[metrics.update] = metrics
            default: unreadableLines += index == lines.count - 1 && !endsWithLine ? 0 : 1
            }
        }
        self.updates = updates.values.sorted { $0.update < $1.update }
        self.validations = validations.values.sorted { $0.update < $1.update }
    }

    /// More than any configuration asks for; sums over a log of possible lines are integers.
    fileprivate static let possibleUpdates = 0...1_000_000_000

    private enum Line: Decodable {
        case update(UpdateMetrics), validation(ValidationMetrics)

        private enum Keys: String, CodingKey {
            case validLoss = "valid_loss"
        }

        init(from decoder: any Decoder) throws {
            let keys = try decoder.container(keyedBy: Keys.self)
            self = keys.contains(.validLoss) ? .validation(try .init(from: decoder)) : .update(try .init(from: decoder))
        }
    }

    /// The updates with figures; nil before the first.
    var range: ClosedRange<Int>? {
        let all = updates.map(\.update) + validations.map(\.update)
        guard let first = all.min(), let last = all.max() else { return nil }
        return first...last
    }

    /// The figures that blocks report, as the last update has them.
    var figureNames: [String] { updates.last?.figures.map(\.name) ?? [] }

    /// The last tenth of the updates, but at most so many, are what figures of "now" are means of.
    static let mostRecent = 100

    /// The mean of a figure over the last updates where it is finite.
    func recentMean(_ figure: (UpdateMetrics) -> Double) -> Double? {
        let values = updates.suffix(min((updates.count + 9) / 10, Self.mostRecent)).map(figure).filter(\.isFinite)
        return values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
    }

    /// Seconds spent on updates, validation and checkpoints apart.
    var seconds: Double {
        updates.reduce(0) { $1.tokensPerSecond > 0 ? $0 + Double($1.targetTokens) / $1.tokensPerSecond : $0 }
    }

    /// Target tokens of all updates over the seconds they took.
    var tokensPerSecond: Double? {
        seconds > 0 ? Double(updates.reduce(0) { $0 + $1.targetTokens }) / seconds : nil
    }

    /// Updates that were skipped: the loss or the gradient's norm was not finite.
    var skipped: Int { updates.count { !$0.loss.isFinite || !$0.gradientNorm.isFinite } }
}

extension UpdateMetrics {
    /// Whether the counts can be those of an update.
    fileprivate var isPossible: Bool {
        let counts = 0...(1 << 40)
        return TrainingHistory.possibleUpdates.contains(update) && counts.contains(targetTokens)
            && load.allSatisfy { $0.allSatisfy(counts.contains) }
    }
}
