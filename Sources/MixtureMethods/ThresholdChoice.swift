import ConfigurationForms
import MixtureOfExperts
import TensorCore

/// Threshold choice ("XMoE: Sparse Models with Fine-grained and Adaptive Expert Selection", arXiv 2403.18926; the router of
/// "Harder Tasks Need More Experts", arXiv 2403.07652): a token takes as many of its best-scored experts as it needs for their
/// scores to add up to a threshold t, one at least: n = min{n ≥ 1 : p_(1) + … + p_(n) ≥ t}. Weights are bare scores. Gradients
/// pass through them alone, not through n.
public struct ThresholdChoice: RoutingRule {
    public static let routing = "top_p"
    /// XMoE's.
    private static let initial: [Float] = [0.9]

    /// t by stratum, or one for all of them. From 1 on a token takes every expert that its gate sees, however scores are rounded.
    public var thresholds = Self.initial

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        [
            .init(
                "top_p", \.thresholds, .listOrOne(of: .number(.between(0, 1)), count: 1...64),
                isWritten: { $0.thresholds != initial })
        ]
    }

    public var readsTopK: Bool { false }
    public var readsNormalization: Bool { false }

    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        guard configuration.routing == Self.routing else {
            problems.require(
                thresholds == Self.initial, "\(path).top_p", "\(path).routing",
                text: "must be left out with \(path).routing: \(configuration.routing), for it is of routing: top_p")
            return
        }
        problems.require(
            thresholds.count == 1 || thresholds.count == configuration.strata.count, "\(path).top_p", "\(path).strata",
            text: "must be one number, or one for each of the \(configuration.strata.count) strata, but is a list of "
                + "\(thresholds.count)")
        problems.require(
            configuration.scoreFunction.addsUpToOne, "\(path).score", "\(path).routing",
            text: "must be softmax with \(path).routing: top_p, whose threshold is a sum of probabilities")
    }

    public func addition(to configuration: MixtureConfiguration) -> String? {
        guard configuration.routing == Self.routing else { return nil }
        return "top-p " + thresholds.map { "\($0)" }.joined(separator: "-")
    }

    private func threshold(atStratum stratum: Int) -> Float { thresholds[thresholds.count == 1 ? 0 : stratum] }

    /// Those of equal scores, as at the start of training, and no more than capacity takes: ⌈t V⌉ and the capacity factor.
    public func expectedChoices(_ configuration: MixtureConfiguration, atStratum stratum: Int, isTraining: Bool) -> Double {
        let visible = Double(configuration.visibleExperts(atStratum: stratum).count)
        // Less what a number has been rounded up by.
        let wanted = max(1, (Double(threshold(atStratum: stratum)) * visible - 1e-5).rounded(.up))
        let factor = isTraining ? configuration.capacityFactor : configuration.evaluationCapacityFactor
        return min(wanted, factor.map { Double($0) } ?? .infinity)
    }

    public func choose(_ gate: GateScores) -> RoutingChoices {
        let threshold = threshold(atStratum: gate.stratum), lower = gate.visible.lowerBound
        var choices = RoutingChoices(tokens: gate.tokens, choicesPerToken: 2)
        for token in 0..<gate.tokens {
            let scores = gate.scores.row(token)
            var sum: Float = 0, leading = -1
            gate.forEachBest(ofToken: token) { expert in
                if leading < 0 { leading = lower + expert }
                choices.add(lower + expert)
                sum += scores[expert]
                return sum < threshold || threshold >= 1
            }
            choices.endToken(leading: leading)
        }
        return choices
    }

    /// The width of routing, as the requested capacity is its depth.
    public func figures(_ decision: RoutingDecision) -> [BlockFigure] {
        guard decision.gate.configuration.routing == Self.routing else { return [] }
        let choices = Float(decision.experts.count), tokens = Float(decision.tokens)
        return [BlockFigure("choices_mean", tokens > 0 ? choices / tokens : 0, weight: tokens)]
    }
}
