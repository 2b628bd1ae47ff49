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
    /// The choices that a token has on average at the gate of a stratum, those beyond a capacity not counted.
    func expectedChoices(_ configuration: MixtureConfiguration, atStratum stratum: Int, isTraining: Bool) -> Double
}

extension RoutingRule {
    public var choicesQueue: Bool { true }
    public var readsSelection: Bool { true }
    public var readsTopK: Bool { true }
    public var readsNormalization: Bool { true }

    /// What the configuration says where there may be several choices; a single one has its bare score.
    public func normalization(_ configuration: MixtureConfiguration, visible: Int) -> GateNormalization {
        !readsNormalization || min(configuration.topK, visible) == 1 ? .never : configuration.gateNormalization
    }

    public func expectedChoices(_ configuration: MixtureConfiguration, atStratum stratum: Int, isTraining: Bool) -> Double {
        Double(min(configuration.topK, configuration.visibleExperts(atStratum: stratum).count))
    }
}
