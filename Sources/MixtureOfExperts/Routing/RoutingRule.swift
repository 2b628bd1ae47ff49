import Autograd
import TensorCore

/// Who goes where: which experts the tokens at a gate are sent to, from how the gate scores them. Capacity, weights, losses and
/// all gradients are the frame's.
public protocol RoutingRule: MixtureMethod {
    /// The value of `model.moe.routing` that names the rule.
    static var routing: String { get }
    /// The choices of all tokens at a gate. Draws are keyed by token and expert (`GateScores.key`), never by a place in a list.
    func choose(_ gate: GateScores) -> RoutingChoices
    /// Whether choices queue for their experts' capacity, all first ones before any second one. Where not, all are kept.
    var choicesQueue: Bool { get }
    /// Whether the rule orders experts by `GateScores.selection`, which methods may adjust.
    var readsSelection: Bool { get }
    /// Whether `top_k` says how many choices a token has.
    var readsTopK: Bool { get }
    /// Whether `gate_normalization` says how weights are normalised. Where not, they must be bare scores.
    var readsNormalization: Bool { get }
    /// How the weights of a token's choices are normalised at a gate that sees `visible` experts.
    func normalization(_ configuration: MixtureConfiguration, visible: Int) -> GateNormalization
    /// Whether its gates are `AdaptiveGate`s, and leave tokens for whom no expert is right without one: experts may come and go.
    var adapts: Bool { get }
    /// The gate of a stratum, where rows are not scored by a linear one.
    func gate(of site: GateSite, store: ParameterStore) -> (any Gate)?
    /// Scores of its own, by which experts do not compete for a token; nil: those that methods say.
    var scoreFunction: (any ScoreFunction)? { get }
    /// How it weighs a token's choices, where not by their scores.
    var weighting: (any ChoiceWeighting)? { get }
    /// Losses of its own, beside those of the methods.
    var losses: [any RoutingLoss] { get }
    /// The choices that a token has on average at the gate of a stratum, those beyond a capacity not counted.
    func expectedChoices(_ configuration: MixtureConfiguration, atStratum stratum: Int, isTraining: Bool) -> Double
}

/// How a rule weighs a token's choices.
public protocol ChoiceWeighting: Sendable {
    /// g of each choice, flat; 0 where it was not kept.
    func weights(_ choices: RoutingChoices, kept: [Bool], _ gate: GateScores) -> [Float]
    /// Adds the gradient of the scores to `dscores` [T, V] from that of the weights, flat.
    func addGradient(_ decision: RoutingDecision, dweights: [Float], to dscores: Tensor)
}

/// A method that weighs choices, where the rule leaves it to their scores.
public protocol WeightingMethod: MixtureMethod {
    /// The method's weighting; nil where the configuration makes no use of it.
    var weighting: (any ChoiceWeighting)? { get }
}

extension RoutingRule {
    public var choicesQueue: Bool { true }
    public var readsSelection: Bool { true }
    public var readsTopK: Bool { true }
    public var readsNormalization: Bool { true }
    public var adapts: Bool { false }
    public var weighting: (any ChoiceWeighting)? { nil }
    public var scoreFunction: (any ScoreFunction)? { nil }
    public var losses: [any RoutingLoss] { [] }
    public func gate(of site: GateSite, store: ParameterStore) -> (any Gate)? { nil }

    /// What the configuration says where there may be several choices; a single one has its bare score.
    public func normalization(_ configuration: MixtureConfiguration, visible: Int) -> GateNormalization {
        !readsNormalization || min(configuration.topK, visible) == 1 ? .never : configuration.gateNormalization
    }

    public func expectedChoices(_ configuration: MixtureConfiguration, atStratum stratum: Int, isTraining: Bool) -> Double {
        Double(min(configuration.topK, configuration.visibleExperts(atStratum: stratum).count))
    }
}
