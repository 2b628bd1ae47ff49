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
    /// The budget loss and the mean gate of conditional routing, and the router z-loss, before their weights, averaged as
    /// `aux`; nil where they are not configured.
    public var budget: Double?
    public var conditionalGateMean: Double?
    public var zLoss: Double?
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
        case update, loss, nll, aux, budget, load, skipped
        case conditionalGateMean = "conditional_gate_mean"
        case zLoss = "z_loss"
        case learningRate = "learning_rate"
        case gradientNorm = "gradient_norm"
        case targetTokens = "target_tokens"
        case tokensPerSecond = "tokens_per_second"
        case roundsMean = "rounds_mean"
        case droppedFraction = "dropped_fraction"
    }
}

extension UpdateMetrics {
    /// Logs of before skipped updates were marked have no `skipped`.
    public init(from decoder: any Decoder) throws {
        let line = try decoder.container(keyedBy: CodingKeys.self)
        func number(_ key: CodingKeys) throws -> Double { try line.decode(Double.self, forKey: key) }
        self.init(
            update: try line.decode(Int.self, forKey: .update), loss: try number(.loss), nll: try number(.nll),
            aux: try number(.aux), budget: try line.decodeIfPresent(Double.self, forKey: .budget),
            conditionalGateMean: try line.decodeIfPresent(Double.self, forKey: .conditionalGateMean),
            zLoss: try line.decodeIfPresent(Double.self, forKey: .zLoss),
            learningRate: try number(.learningRate), gradientNorm: try number(.gradientNorm),
            targetTokens: try line.decode(Int.self, forKey: .targetTokens), tokensPerSecond: try number(.tokensPerSecond),
            roundsMean: try number(.roundsMean), droppedFraction: try number(.droppedFraction),
            load: try line.decode([[Int]].self, forKey: .load),
            skipped: try line.decodeIfPresent(Bool.self, forKey: .skipped) ?? false)
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
