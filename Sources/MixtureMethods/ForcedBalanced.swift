import MixtureOfExperts

/// Forced balance: token t takes experts t, t + 1, …, counted round, whatever their scores. Perfectly even loads, for benchmarks
/// alone.
public struct ForcedBalanced: RoutingRule {
    public static let routing = "forced_balanced"

    public var readsSelection: Bool { false }

    public init() {}

    public func addition(to configuration: MixtureConfiguration) -> String? {
        configuration.routing == Self.routing ? "forced balance" : nil
    }

    public func choose(_ gate: GateScores) -> RoutingChoices {
        let visible = gate.visible, k = min(gate.configuration.topK, visible.count)
        var choices = RoutingChoices(tokens: gate.tokens, choicesPerToken: k)
        for token in 0..<gate.tokens {
            for choice in 0..<k { choices.add(visible.lowerBound + (token + choice) % visible.count) }
            choices.endToken(leading: visible.lowerBound + token % visible.count)
        }
        return choices
    }
}
