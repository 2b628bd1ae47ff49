import Foundation

/// A figure that the model's blocks report (`BlockFigure`), for the whole update.
public struct MetricFigure: Equatable, Sendable {
    public var name: String
    public var value: Double

    public init(name: String, value: Double) {
        self.name = name
        self.value = value
    }
}

/// One update's figures: a line of `metrics.jsonl`.
public struct UpdateMetrics: Equatable, Sendable {
    public var update: Int
    /// Label-smoothed cross-entropy per target token, in nats.
    public var loss: Double
    /// Cross-entropy per target token, in nats.
    public var nll: Double
    public var learningRate: Double
    public var gradientNorm: Double
    public var targetTokens: Int
    public var tokensPerSecond: Double
    /// RC: strata passed by a token, on average over blocks.
    public var requestedCapacity: Double
    /// Choices that exceeded an expert's capacity.
    public var droppedFraction: Double
    /// Rows that each stratum's gates sent to each expert, summed over blocks: [stratum][expert].
    public var load: [[Int]]
    /// How uneven each gate's load is: rows of its busiest expert over the mean of those it sees, [block][stratum], encoder's blocks
    /// first; 1 is even, and 0 that it sent none. Empty in a dense model, and in lines of earlier versions.
    public var loadViolation: [[Double]]
    /// Operations of the model's products, forward and backward, over what the ranks' processors reach with large ones in the
    /// seconds that the update took; nil where that is not known.
    public var flopsUtilization: Double?
    /// Until the updates are done or the time is up, at the mean speed so far; nil where nobody counts.
    public var secondsLeft: Double?
    /// Whether the update changed nothing, because its loss or gradient norm is not finite.
    public var skipped: Bool
    /// What the blocks report under names of their own, in their order: keys beside the others. Of a line that was read, by name.
    public var figures: [MetricFigure]

    public init(
        update: Int, loss: Double, nll: Double, learningRate: Double, gradientNorm: Double, targetTokens: Int,
        tokensPerSecond: Double, requestedCapacity: Double, droppedFraction: Double, load: [[Int]],
        loadViolation: [[Double]] = [], flopsUtilization: Double? = nil, secondsLeft: Double? = nil, skipped: Bool,
        figures: [MetricFigure] = []
    ) {
        self.update = update
        self.loss = loss
        self.nll = nll
        self.learningRate = learningRate
        self.gradientNorm = gradientNorm
        self.targetTokens = targetTokens
        self.tokensPerSecond = tokensPerSecond
        self.requestedCapacity = requestedCapacity
        self.droppedFraction = droppedFraction
        self.load = load
        self.loadViolation = loadViolation
        self.flopsUtilization = flopsUtilization
        self.secondsLeft = secondsLeft
        self.skipped = skipped
        self.figures = figures
    }

    /// The value of one of the blocks' figures.
    public func figure(_ name: String) -> Double? { figures.first { $0.name == name }?.value }
}

extension UpdateMetrics: Codable {
    private enum Key: String, CaseIterable {
        case update, loss, nll, load, skipped
        case learningRate = "learning_rate"
        case gradientNorm = "gradient_norm"
        case targetTokens = "target_tokens"
        case tokensPerSecond = "tokens_per_second"
        case requestedCapacity = "rounds_mean"
        case droppedFraction = "dropped_fraction"
        case loadViolation = "load_violation"
        case flopsUtilization = "flops_utilization"
        case secondsLeft = "seconds_left"
    }

    private struct LineKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
        init(_ key: Key) { stringValue = key.rawValue }
    }

    /// Logs of earlier versions lack `skipped` and others. Numbers under other keys are figures of blocks.
    public init(from decoder: any Decoder) throws {
        let line = try decoder.container(keyedBy: LineKey.self)
        func value<Value: Decodable>(_ key: Key) throws -> Value { try line.decode(Value.self, forKey: LineKey(key)) }
        func valueIfPresent<Value: Decodable>(_ key: Key) throws -> Value? {
            try line.decodeIfPresent(Value.self, forKey: LineKey(key))
        }
        self.init(
            update: try value(.update), loss: try value(.loss), nll: try value(.nll), learningRate: try value(.learningRate),
            gradientNorm: try value(.gradientNorm), targetTokens: try value(.targetTokens),
            tokensPerSecond: try value(.tokensPerSecond), requestedCapacity: try value(.requestedCapacity),
            droppedFraction: try value(.droppedFraction), load: try value(.load),
            loadViolation: try valueIfPresent(.loadViolation) ?? [], flopsUtilization: try valueIfPresent(.flopsUtilization),
            secondsLeft: try valueIfPresent(.secondsLeft), skipped: try valueIfPresent(.skipped) ?? false,
            figures: line.allKeys.sorted { $0.stringValue < $1.stringValue }.compactMap { key in
                guard Key(rawValue: key.stringValue) == nil, let value = try? line.decode(Double.self, forKey: key) else {
                    return nil
                }
                return MetricFigure(name: key.stringValue, value: value)
            })
    }

    public func encode(to encoder: any Encoder) throws {
        var line = encoder.container(keyedBy: LineKey.self)
        try line.encode(update, forKey: LineKey(.update))
        try line.encode(loss, forKey: LineKey(.loss))
        try line.encode(nll, forKey: LineKey(.nll))
        try line.encode(learningRate, forKey: LineKey(.learningRate))
        try line.encode(gradientNorm, forKey: LineKey(.gradientNorm))
        try line.encode(targetTokens, forKey: LineKey(.targetTokens))
        try line.encode(tokensPerSecond, forKey: LineKey(.tokensPerSecond))
        try line.encode(requestedCapacity, forKey: LineKey(.requestedCapacity))
        try line.encode(droppedFraction, forKey: LineKey(.droppedFraction))
        try line.encode(load, forKey: LineKey(.load))
        try line.encode(loadViolation, forKey: LineKey(.loadViolation))
        try line.encodeIfPresent(flopsUtilization, forKey: LineKey(.flopsUtilization))
        try line.encodeIfPresent(secondsLeft, forKey: LineKey(.secondsLeft))
        try line.encode(skipped, forKey: LineKey(.skipped))
        for figure in figures {
            precondition(Key(rawValue: figure.name) == nil, "\(figure.name) is a key of every line, and no block's figure")
            try line.encode(figure.value, forKey: LineKey(stringValue: figure.name))
        }
    }
}

/// The loss on held-out text: a line of `metrics.jsonl` of its own.
public struct ValidationMetrics: Codable, Equatable, Sendable {
    public var update: Int
    public var validLoss: Double
    public var validNll: Double
    public var validPerplexity: Double
    public var validTokens: Int
    public var validRequestedCapacity: Double
    /// Of `training.validate_bleu` sentences of each direction by greedy search, the directions' mean; nil: none were translated.
    public var validBLEU: Double?

    enum CodingKeys: String, CodingKey {
        case update
        case validLoss = "valid_loss"
        case validNll = "valid_nll"
        case validPerplexity = "valid_perplexity"
        case validTokens = "valid_tokens"
        case validRequestedCapacity = "valid_rounds_mean"
        case validBLEU = "valid_bleu"
    }
}
