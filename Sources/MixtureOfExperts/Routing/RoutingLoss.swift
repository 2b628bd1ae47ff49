import ConfigurationForms
import TensorCore

/// An auxiliary loss of every gate. The block's is the mean over all its gates, whether tokens reached them or not; the model's
/// is the mean over its blocks, times the weight.
public protocol RoutingLoss: MixtureMethod {
    /// The key in metrics of the value before its weight.
    static var figure: String { get }
    /// What reports call it.
    static var title: String { get }
    /// Whether the configuration makes use of it.
    var isInUse: Bool { get }
    /// The factor of the loss in what is minimised.
    var weight: Float { get }
    /// The loss of one gate; 0 for no tokens.
    func value(_ decision: RoutingDecision) -> Float
    /// Adds `scale` × its gradient with respect to the scores, [T, V], as far as it does not pass through the shares. It is one with
    /// respect to choices, too: thresholds that they are held against have the opposite one.
    func addScoreGradient(_ decision: RoutingDecision, scale: Float, to dscores: Tensor)
    /// Adds `scale` × its gradient with respect to the shares, [T, V].
    func addShareGradient(_ decision: RoutingDecision, scale: Float, to dshares: Tensor)
    /// Adds `scale` × its gradient with respect to the logits, [T, V], as far as it does not pass through the scores.
    func addLogitGradient(_ decision: RoutingDecision, scale: Float, to dlogits: Tensor)
}

extension RoutingLoss {
    public func addScoreGradient(_ decision: RoutingDecision, scale: Float, to dscores: Tensor) {}
    public func addShareGradient(_ decision: RoutingDecision, scale: Float, to dshares: Tensor) {}
    public func addLogitGradient(_ decision: RoutingDecision, scale: Float, to dlogits: Tensor) {}
}

extension RoutingLoss {
    /// Reports a loss of probabilities in use with a rule whose scores are none; `key` is the loss's.
    public func requireProbabilities(
        _ configuration: MixtureConfiguration, _ path: String, key: String, _ problems: ConfigurationProblems
    ) {
        problems.require(
            !isInUse || configuration.rule.scoreFunction == nil, "\(path).\(key)", "\(path).routing",
            text:
                "must be left out with \(path).routing: \(configuration.routing), whose experts do not compete for a token: it "
                + "is a loss of probabilities")
    }
}

extension MixtureConfiguration {
    /// The losses of its methods, in use or not, and those of the routing rule.
    public var losses: [any RoutingLoss] { methods(for: (any RoutingLoss).self) + rule.losses }
}

/// A method that masks the outputs of experts, choice by choice.
public protocol OutputMasking: MixtureMethod {
    /// What the output of each choice is multiplied by, flat, beside its weight; nil for 1.
    func factors(_ decision: RoutingDecision) -> [Float]?
}
