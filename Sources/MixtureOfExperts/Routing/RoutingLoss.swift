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
    /// Adds `scale` × its gradient with respect to the shares, [T, V].
    func addShareGradient(_ decision: RoutingDecision, scale: Float, to dshares: Tensor)
    /// Adds `scale` × its gradient with respect to the logits, [T, V], as far as it does not pass through the shares.
    func addLogitGradient(_ decision: RoutingDecision, scale: Float, to dlogits: Tensor)
}

extension RoutingLoss {
    public func addShareGradient(_ decision: RoutingDecision, scale: Float, to dshares: Tensor) {}
    public func addLogitGradient(_ decision: RoutingDecision, scale: Float, to dlogits: Tensor) {}
}

/// A method that masks the outputs of experts, choice by choice.
public protocol OutputMasking: MixtureMethod {
    /// What the output of each choice is multiplied by, flat, beside its weight; nil for 1.
    func factors(_ decision: RoutingDecision) -> [Float]?
}
