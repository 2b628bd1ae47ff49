import ConfigurationForms
import MixtureOfExperts

/// Relative threshold: a token takes its best-scored expert and, of the others, each whose score is at least `share` of the
/// best one's, at most `top_k` in all. So a token takes several experts only where its gate is in doubt.
struct RelativeThreshold: RoutingRule {
    /// The name under `model.moe.routing`.
    static let routing = "relative_threshold"

    var share = 0.5

    /// The rule's keys under `model.moe`: each with its name, its property and what it allows.
    static var fields: [ConfigurationField<Self>] { [.init("relative_threshold", \.share, .number(.between(0, 1)))] }

    /// Reports what does not go together, at the keys that say it.
    func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        problems.require(
            configuration.routing != Self.routing || configuration.topK > 1, "\(path).top_k", "\(path).routing",
            text: "must be at least 2 with \(path).routing: \(Self.routing), which else never takes a second expert, but is 1")
    }

    /// What is added to the model's name in reports.
    func addition(to configuration: MixtureConfiguration) -> String? {
        configuration.routing == Self.routing ? "relative threshold \(share)" : nil
    }

    /// The choices of the T tokens at a gate, best first. The frame sees to capacity, weights and gradients.
    func choose(_ gate: GateScores) -> RoutingChoices {
        let best = gate.bestChoices(min(gate.configuration.topK, gate.visible.count))
        var choices = RoutingChoices(tokens: gate.tokens, choicesPerToken: 2)
        for token in 0..<gate.tokens {
            let leading = Int(best.leading[token])
            let threshold = Float(share) * score(gate, token, leading)
            for choice in best.range(ofToken: token) {
                let expert = Int(best.experts[choice])
                if expert == leading || score(gate, token, expert) >= threshold { choices.add(expert) }
            }
            choices.endToken(leading: leading)
        }
        return choices
    }

    /// Experts bear global ids; a gate's columns are those that it sees.
    private func score(_ gate: GateScores, _ token: Int, _ expert: Int) -> Float {
        gate.scores[token, expert - gate.visible.lowerBound]
    }
}
