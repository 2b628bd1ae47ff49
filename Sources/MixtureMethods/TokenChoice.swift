import ConfigurationForms
import MixtureOfExperts
import NeuralLayers
import TensorCore

/// How a token's further experts are chosen after its first. In evaluation it is always `best`.
public enum SecondExpertPolicy: String, CaseIterable, Sendable {
    /// The next best scores.
    case best
    /// The best of logit + Gumbel noise over the experts that are not the first choice: draws from their softmax, without
    /// replacement.
    case sampling
    /// The next best, each kept with probability min(1, k p).
    case random
}

/// Token choice: each token takes its k best-scored experts, as long as they have room (arXiv 2305.02176, (5) and (6)).
public struct TokenChoice: RoutingRule {
    public static let routing = "token_choice"

    public var secondExpert = SecondExpertPolicy.sampling

    public init() {}

    public static var fields: [ConfigurationField<Self>] { [.init("second_expert", \.secondExpert, .choice)] }

    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        problems.require(
            configuration.routing != Self.routing || configuration.topK == 1 || secondExpert != .sampling
                || !configuration.learnsFromLoads, "\(path).second_expert", "\(path).bias_balancing_rate", "\(path).top_k",
            text: "must be best or random with \(path).bias_balancing_rate, for a second expert that is drawn from the "
                + "scores knows no biases, but is sampling")
    }

    public func choose(_ gate: GateScores) -> RoutingChoices {
        let k = min(gate.configuration.topK, gate.visible.count)
        guard gate.isTraining, k > 1 else { return gate.bestChoices(k) }
        switch secondExpert {
        case .best: return gate.bestChoices(k)
        case .sampling: return sampled(gate, k)
        case .random: return kept(gate, k)
        }
    }

    private func sampled(_ gate: GateScores, _ k: Int) -> RoutingChoices {
        var choices = RoutingChoices(tokens: gate.tokens, choicesPerToken: k)
        let key = gate.key.derived(.secondExpert), lower = gate.visible.lowerBound
        var noisy = [Float](repeating: 0, count: gate.visible.count)
        for token in 0..<gate.tokens {
            let first = gate.best(ofToken: token), tokenKey = key.derived(Int(gate.rows[token]))
            let logits = gate.logits.row(token), selection = gate.selection.row(token)
            guard selection[first] > -.infinity else {
                choices.endToken(leading: -1)
                continue
            }
            for expert in noisy.indices {
                noisy[expert] =
                    expert == first || selection[expert] == -.infinity
                    ? -.infinity : logits[expert] + tokenKey.gumbel(lower + expert)
            }
            choices.add(lower + first)
            for _ in 1..<k {
                var next = 0
                for expert in noisy.indices where noisy[expert] > noisy[next] { next = expert }
                guard noisy[next] != -.infinity else { break }
                choices.add(lower + next)
                noisy[next] = -.infinity
            }
            choices.endToken(leading: lower + first)
        }
        return choices
    }

    private func kept(_ gate: GateScores, _ k: Int) -> RoutingChoices {
        let best = gate.bestChoices(k), key = gate.key.derived(.secondExpert), lower = gate.visible.lowerBound
        var choices = RoutingChoices(tokens: gate.tokens, choicesPerToken: k)
        for token in 0..<gate.tokens {
            let range = best.range(ofToken: token), tokenKey = key.derived(Int(gate.rows[token]))
            for choice in range {
                let expert = Int(best.experts[choice])
                let probability = min(1, Float(k) * gate.scores[token, expert - lower])
                if choice == range.lowerBound || tokenKey.uniform(expert) < probability { choices.add(expert) }
            }
            choices.endToken(leading: Int(best.leading[token]))
        }
        return choices
    }
}

extension RandomPurpose {
    fileprivate static let secondExpert = RandomPurpose(number: 4)
}
