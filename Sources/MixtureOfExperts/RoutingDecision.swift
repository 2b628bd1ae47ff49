import TensorCore

/// What a gate decided for the tokens at its stratum: a value that knows nothing of ranks.
public struct RoutingDecision: Sendable {
    public let tokens: Int
    /// k, the choices of a token: 1 or 2, and 1 where only one expert is visible; with expert choice as many as experts.
    public let choices: Int
    /// The global ids of the experts that the gate sees.
    public let visible: Range<Int>
    /// Global expert ids, `choices` a token, best first; −1 for a second choice that was not drawn, or an expert that chose
    /// other tokens. The first is always there: with expert choice it may be one that is not kept.
    public let experts: [Int32]
    /// The choices within their expert's capacity.
    public let kept: [Bool]
    /// g of the choices; 0 where not kept.
    public let weights: [Float]
    /// softmax of the gate's scores, [tokens, visible.count].
    public let probabilities: Tensor
    /// L_i of (8–11) for this gate.
    public let loadBalancingLoss: Float
    /// f: the fraction of the tokens whose first choice is each visible expert.
    public let firstChoiceFractions: [Float]
    /// The router z-loss of this gate.
    public let zLoss: Float
    /// By token: log Σ e^score.
    let logSums: [Float]

    public func firstChoice(_ token: Int) -> Int { Int(experts[token * choices]) }
}
