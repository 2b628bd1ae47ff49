import TensorCore

/// What a routing rule sees: the tokens at one gate and how the gate scores the experts that it sees.
public struct GateScores: Sendable {
    public let configuration: MixtureConfiguration
    public let stratum: Int
    /// The global ids of the experts that the gate sees, V of them.
    public let visible: Range<Int>
    public let isTraining: Bool
    /// Numbers of the tokens within their group, [T]: what draws are keyed by.
    public let rows: [Int32]
    /// The key of this gate's draws: derive it by purpose, then by token, and draw by expert.
    public let key: RandomKey
    /// The products of rows and gate, [T, V].
    public let logits: Tensor
    /// What an expert's logit must exceed for a token to choose it, [V], where the gate has thresholds.
    public let thresholds: [Float]?
    /// What weights are made of, [T, V]: the softmax of the logits, where no method says otherwise.
    public let scores: Tensor
    /// The scores over their sum, [T, V]: what losses take for probabilities.
    public let shares: Tensor
    /// What choices are ordered by, [T, V]: the scores, where no method adjusts them. An expert at −∞ may not be chosen.
    public let selection: Tensor
    /// C, the choices that an expert takes at most; nil: any number.
    public let capacity: Int?

    /// `shares` and `selection` nil: the scores.
    public init(
        configuration: MixtureConfiguration, stratum: Int, visible: Range<Int>, isTraining: Bool, rows: [Int32],
        key: RandomKey, logits: Tensor, scores: Tensor, thresholds: [Float]? = nil, shares: Tensor? = nil,
        selection: Tensor? = nil
    ) {
        precondition(logits.columns == visible.count && logits.rows == rows.count && scores.count == logits.count)
        self.configuration = configuration
        self.stratum = stratum
        self.visible = visible
        self.isTraining = isTraining
        self.rows = rows
        self.key = key
        self.logits = logits
        self.scores = scores
        self.thresholds = thresholds
        self.shares = shares ?? scores
        self.selection = selection ?? scores
        // Of experts that nobody may choose no share of the tokens is expected.
        let open =
            thresholds == nil || rows.isEmpty
            ? visible.count : visible.indices.count { logits[0, $0 - visible.lowerBound] != -.infinity }
        capacity = ExpertCapacity.limit(
            tokens: rows.count, visible: max(open, 1),
            factor: isTraining ? configuration.capacityFactor : configuration.evaluationCapacityFactor)
    }

    public var tokens: Int { rows.count }

    /// The expert of highest selection; of equal ones the lowest id. A column of the scores.
    public func best(ofToken token: Int) -> Int { Self.largest(selection.row(token), visible.count) }

    /// Calls `body` with the experts of a token, columns of the scores, by selection descending, equal ones in ascending order,
    /// until it returns false. Experts at −∞ are passed over.
    public func forEachBest(ofToken token: Int, _ body: (Int) -> Bool) {
        let values = selection.row(token), count = visible.count
        // The next is the largest of those that come behind the last in this order: no list of them is kept.
        var last = Self.largest(values, count)
        guard values[last] > -.infinity, body(last) else { return }
        for _ in 1..<max(count, 1) {
            var next = -1
            for index in 0..<count where values[index] != -.infinity {
                let isBehind = values[index] < values[last] || (values[index] == values[last] && index > last)
                if isBehind, next < 0 || values[index] > values[next] { next = index }
            }
            guard next >= 0, body(next) else { return }
            last = next
        }
    }

    /// Each token's `count` experts of highest selection, best first; of equal ones the lowest id first. The best leads; where all
    /// are at −∞, none does (−1).
    public func bestChoices(_ count: Int) -> RoutingChoices {
        var choices = RoutingChoices(tokens: tokens, choicesPerToken: count)
        for token in 0..<tokens {
            var taken = 0, leading = -1
            forEachBest(ofToken: token) { expert in
                if taken == 0 { leading = visible.lowerBound + expert }
                choices.add(visible.lowerBound + expert)
                taken += 1
                return taken < count
            }
            choices.endToken(leading: leading)
        }
        return choices
    }

    /// Each token's expert of a rank by selection, 1 the best, which leads; the last one where there are fewer.
    func choices(ofRank rank: Int) -> RoutingChoices {
        var choices = RoutingChoices(tokens: tokens, choicesPerToken: 1)
        for token in 0..<tokens {
            var taken = -1, place = 0
            forEachBest(ofToken: token) { expert in
                taken = visible.lowerBound + expert
                place += 1
                return place < rank
            }
            if taken >= 0 { choices.add(taken) }
            choices.endToken(leading: taken)
        }
        return choices
    }

    /// The highest of `count` values; of equal ones the first.
    private static func largest(_ values: UnsafePointer<Float>, _ count: Int) -> Int {
        var best = 0
        for index in 1..<max(count, 1) where values[index] > values[best] { best = index }
        return best
    }
}
