import ConfigurationForms
import MixtureOfExperts
import TensorCore

/// Expert choice: each expert takes the tokens that score it best, as many as its capacity ("Mixture-of-Experts with Expert Choice
/// Routing", arXiv 2202.09368). Loads are equal, and a token may be seen by any number of experts; it goes on by the expert that
/// it scores best, taken by it or not. In evaluation tokens choose, with the same weights: a translation must not depend on what
/// it is batched with, nor on words that are still to come.
public struct ExpertChoice: RoutingRule {
    public static let routing = "expert_choice"
    public var choicesQueue: Bool { false }
    public var readsSelection: Bool { false }

    public init() {}

    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        problems.require(
            configuration.routing != Self.routing || configuration.capacityFactor != nil, "\(path).capacity_factor",
            "\(path).routing",
            text: "must be a number with \(path).routing: expert_choice, where it says how many tokens an expert takes, "
                + "but is none")
    }

    public func addition(to configuration: MixtureConfiguration) -> String? {
        configuration.routing == Self.routing ? "expert choice" : nil
    }

    public func normalization(_ configuration: MixtureConfiguration, visible: Int) -> GateNormalization { .never }

    /// In training an expert takes factor × tokens / visible of the tokens, and no more than there are.
    public func expectedChoices(_ configuration: MixtureConfiguration, atStratum stratum: Int, isTraining: Bool) -> Double {
        let visible = configuration.visibleExperts(atStratum: stratum).count
        return isTraining
            ? min(configuration.capacityFactor.map(Double.init) ?? .infinity, Double(visible))
            : Double(min(configuration.topK, visible))
    }

    /// Equal scores go to the earlier token.
    public func choose(_ gate: GateScores) -> RoutingChoices {
        guard gate.isTraining else { return gate.bestChoices(min(gate.configuration.topK, gate.visible.count)) }
        let tokens = gate.tokens, count = gate.visible.count, scores = gate.scores
        var isTaken = [Bool](repeating: false, count: tokens * count)
        for expert in 0..<count {
            let order = (0..<tokens).sorted { (scores[$0, expert], $1) > (scores[$1, expert], $0) }
            for token in order.prefix(gate.capacity ?? tokens) { isTaken[token * count + expert] = true }
        }
        var choices = RoutingChoices(tokens: tokens, choicesPerToken: count)
        for token in 0..<tokens {
            let takers = (0..<count).filter { isTaken[token * count + $0] }
                .sorted { (scores[token, $0], $1) > (scores[token, $1], $0) }
            for expert in takers { choices.add(gate.visible.lowerBound + expert) }
            choices.endToken(leading: gate.visible.lowerBound + gate.best(ofToken: token))
        }
        return choices
    }
}
