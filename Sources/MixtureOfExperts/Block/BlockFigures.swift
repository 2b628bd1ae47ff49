/// A figure that a block reports about a token group: named where it is made, and carried from there to `metrics.jsonl`,
/// TensorBoard and the report without being named on the way.
public struct BlockFigure: Equatable, Sendable {
    /// How values of several blocks, token groups and ranks become one.
    public enum Combination: Sendable {
        /// A mean over blocks by weight, over token groups by their target tokens.
        case mean
        case sum
    }

    /// The key in metrics: small letters and underscores.
    public let name: String
    public let value: Float
    public let weight: Float
    public let combination: Combination

    public init(_ name: String, _ value: Float, weight: Float = 1, combination: Combination = .mean) {
        self.name = name
        self.value = value
        self.weight = weight
        self.combination = combination
    }
}

extension [BlockFigure] {
    /// The figures of several blocks, or gates, as one's: those of the same name combined, in the order of their first coming. A
    /// mean whose weights are all 0 is 0.
    public static func combined(_ parts: [[BlockFigure]]) -> [BlockFigure] {
        var names: [String] = [], sums: [String: (value: Float, weight: Float, combination: BlockFigure.Combination)] = [:]
        for figure in parts.joined() {
            var sum = sums[figure.name] ?? (0, 0, figure.combination)
            if sums[figure.name] == nil { names.append(figure.name) }
            sum.value += figure.combination == .mean && figure.weight != 1 ? figure.value * figure.weight : figure.value
            sum.weight += figure.weight
            sums[figure.name] = sum
        }
        return names.map { name in
            let (value, weight, combination) = sums[name]!
            switch combination {
            case .sum: return BlockFigure(name, value, combination: .sum)
            case .mean: return BlockFigure(name, weight == 0 ? 0 : value / weight, weight: weight)
            }
        }
    }
}

/// What one mixture block did with one token group, without the tensors.
public struct BlockReport: Sendable {
    public let figures: [BlockFigure]
    public let statistics: RoutingStatistics
    /// Decisions of the gates, in their order; none unless the pass keeps them.
    public let decisions: [RoutingDecision]
    /// What was recorded at the gates, in their order, where experts come and go by it; else none.
    public let records: [GateRecord]
}
