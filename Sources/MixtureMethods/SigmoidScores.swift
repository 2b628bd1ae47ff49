import ConfigurationForms
import MixtureOfExperts

/// Sigmoid scores ("DeepSeek-V3 Technical Report", arXiv 2412.19437): s = 1 / (1 + e^−logit), so that experts do not compete for a
/// token's score. Its weights are s over the kept choices' sum, as `gate_normalization` says; losses take s over the sum of all.
public struct SigmoidScores: ScoringMethod {
    public enum Score: String, CaseIterable, Sendable {
        case softmax
        case sigmoid
    }

    public var score = Score.softmax

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        [.init("score", \.score, .choice, isWritten: { $0.score != .softmax })]
    }

    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        problems.require(
            score == .softmax || configuration.rule.scoreFunction == nil, "\(path).score", "\(path).routing",
            text: "must be left out with \(path).routing: \(configuration.routing), which has scores of its own")
    }

    public func addition(to configuration: MixtureConfiguration) -> String? { score == .sigmoid ? "sigmoid scores" : nil }

    public var scoreFunction: (any ScoreFunction)? { score == .sigmoid ? LogisticScores() : nil }
}
