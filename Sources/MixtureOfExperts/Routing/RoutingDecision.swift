import TensorCore

/// What a gate decided for the tokens at its stratum: a value that knows nothing of ranks. Choices are ragged: those of token t
/// are offsets[t] ..< offsets[t + 1] of the flat lists, best first.
public struct RoutingDecision: Sendable {
    public let gate: GateScores
    /// Where choices begin, [T + 1]: those of token t are offsets[t] ..< offsets[t + 1].
    public let offsets: [Int32]
    /// Global ids of the experts chosen, flat.
    public let experts: [Int32]
    /// Whether the choice is within its expert's capacity, flat.
    public let kept: [Bool]
    /// Weights g of the choices, flat; 0 where not kept.
    public let weights: [Float]
    /// Leading experts of the tokens, [T]: their strata decide where tokens go next, chosen or not. −1: none; the token leaves.
    public let leading: [Int32]
    /// Tokens of the choices, flat.
    public let choiceTokens: [Int32]

    init(gate: GateScores, choices: RoutingChoices, kept: [Bool], weights: [Float]) {
        precondition(choices.tokens == gate.tokens, "a routing rule chooses for every token at its gate")
        self.gate = gate
        offsets = choices.offsets
        experts = choices.experts
        leading = choices.leading
        self.kept = kept
        self.weights = weights
        var tokens = [Int32](repeating: 0, count: choices.experts.count)
        for token in 0..<choices.tokens { for choice in choices.range(ofToken: token) { tokens[choice] = Int32(token) } }
        choiceTokens = tokens
    }

    public var tokens: Int { gate.tokens }
    /// The global ids of the experts that the gate sees.
    public var visible: Range<Int> { gate.visible }

    public func choices(ofToken token: Int) -> Range<Int> { Int(offsets[token])..<Int(offsets[token + 1]) }

    /// The score of a choice.
    public func score(ofChoice choice: Int) -> Float {
        gate.scores[Int(choiceTokens[choice]), Int(experts[choice]) - visible.lowerBound]
    }

    /// f of (8–11), [V]: the fraction of the tokens that each visible expert leads, before dropping; all 0 for no tokens.
    public var leadingFractions: [Float] {
        var counts = [Int](repeating: 0, count: visible.count)
        for expert in leading where expert >= 0 { counts[Int(expert) - visible.lowerBound] += 1 }
        return counts.map { Float($0) / Float(max(tokens, 1)) }
    }
}
