import Foundation

/// One update's figures: a line of `metrics.jsonl`.
public struct UpdateMetrics: Codable, Equatable, Sendable {
    public var update: Int
    /// Label-smoothed cross-entropy per target token, in nats.
    public var loss: Double
    /// Cross-entropy per target token, in nats.
    public var nll: Double
    /// The load-balancing loss, averaged over blocks and, by target tokens, over groups.
    public var aux: Double
    public var learningRate: Double
    public var gradientNorm: Double
    public var targetTokens: Int
    public var tokensPerSecond: Double
    /// RC: strata passed by a token, on average over blocks.
    public var roundsMean: Double
    /// Choices that exceeded an expert's capacity.
    public var droppedFraction: Double
    /// Rows that each stratum's gates sent to each expert, summed over blocks: [stratum][expert].
    public var load: [[Int]]
    /// Whether the update changed nothing, because its loss or gradient norm is not finite.
    public var skipped: Bool

    enum CodingKeys: String, CodingKey {
        case update, loss, nll, aux, load, skipped
        case learningRate = "learning_rate"
        case gradientNorm = "gradient_norm"
        case targetTokens = "target_tokens"
        case tokensPerSecond = "tokens_per_second"
        case roundsMean = "rounds_mean"
        case droppedFraction = "dropped_fraction"
    }
}

/// The loss on held-out text: a line of `metrics.jsonl` of its own.
public struct ValidationMetrics: Codable, Equatable, Sendable {
    public var update: Int
    public var validLoss: Double
    public var validNll: Double
    public var validPerplexity: Double
    public var validTokens: Int
    public var validRoundsMean: Double

    enum CodingKeys: String, CodingKey {
        case update
        case validLoss = "valid_loss"
        case validNll = "valid_nll"
        case validPerplexity = "valid_perplexity"
        case validTokens = "valid_tokens"
        case validRoundsMean = "valid_rounds_mean"
    }
}

/// `metrics.jsonl`: one JSON object a line, appended as training goes on.
public final class MetricsLog {
    private let file: FileHandle
    private let encoder = JSONEncoder()

    /// Opens the log at `path`. Lines of updates after `update`, which an interrupted run wrote and a resumed one will write
    /// again, are removed.
    public init(path: String, continuingAfter update: Int) throws {
        let url = URL(fileURLWithPath: path)
        var kept = Data()
        if update > 0, FileManager.default.fileExists(atPath: path) {
            struct Line: Decodable { let update: Int }
            for line in try Data(contentsOf: url).split(separator: UInt8(ascii: "\n")) {
                if let parsed = try? JSONDecoder().decode(Line.self, from: line), parsed.update <= update {
                    kept += line + [UInt8(ascii: "\n")]
                }
            }
        }
        try kept.write(to: url, options: .atomic)
        file = try FileHandle(forWritingTo: url)
        try file.seekToEnd()
        encoder.outputFormatting = [.sortedKeys]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    }

    public func append(_ metrics: some Encodable) throws {
        try file.write(contentsOf: encoder.encode(metrics) + [UInt8(ascii: "\n")])
    }
}
