import TensorCore

/// The routing of one gate (Docs/Method.md, "The block in words", from (5) to (6)): a function of its logits that composes the
/// methods' answers. It knows no communicator and no rank.
public struct StratifiedRouter {
    private let gate: GateSite
    private let scoreFunction: any ScoreFunction
    private let rule: any RoutingRule
    private let losses: [any RoutingLoss]
    private let weighting: (any ChoiceWeighting)?
    private let maskings: [any OutputMasking]
    private let adjustments: [any SelectionAdjustment]

    public init(_ gate: GateSite, adjustments: [any SelectionAdjustment] = []) {
        let configuration = gate.configuration
        self.gate = gate
        self.adjustments = adjustments
        scoreFunction = configuration.scoreFunction
        rule = configuration.rule
        losses = configuration.losses.filter(\.isInUse)
        weighting =
            rule.weighting ?? configuration.methods(for: (any WeightingMethod).self).lazy.compactMap(\.weighting).first
        maskings = configuration.methods(for: (any OutputMasking).self)
    }

    /// The global ids of the experts that the gate sees.
    var visible: Range<Int> { gate.visible }

    private var normalization: GateNormalization { rule.normalization(gate.configuration, visible: gate.visible.count) }

    /// Routes tokens by `logits` [T, V], which are kept, and `thresholds` [V], if the gate has them. `rows` numbers the tokens within
    /// their group: draws are keyed by it, under `key`. Experts that are `hidden` from a token, flat [T, V], have no score there, and
    /// may not be chosen. With `onlyRank` a token takes the expert of that rank alone, of fewer the last one, with weight 1.
    public func route(
        _ context: ComputeContext, logits: Tensor, thresholds: [Float]? = nil, hidden: [Bool]? = nil, onlyRank: Int? = nil,
        rows: [Int32], key: RandomKey, isTraining: Bool
    ) -> RoutingDecision {
        if let hidden { hide(hidden, in: logits) }
        let scores = context.uninitialized(logits.rows, logits.columns)
        scoreFunction.forward(logits, into: scores)
        let shares = scoreFunction.addsUpToOne ? nil : ScoreShares.forward(context, scores)
        var selection: Tensor?
        if !adjustments.isEmpty || hidden != nil {
            let adjusted = context.copy(scores)
            for adjustment in adjustments { adjustment.adjust(adjusted, gate) }
            if let hidden { for index in hidden.indices where hidden[index] { adjusted.pointer[index] = -.infinity } }
            selection = adjusted
        }
        let view = GateScores(
            configuration: gate.configuration, stratum: gate.stratum, visible: gate.visible, isTraining: isTraining,
            rows: rows, key: key, logits: logits, scores: scores, thresholds: thresholds, shares: shares, selection: selection)
        if let onlyRank {
            let choices = view.choices(ofRank: onlyRank), count = choices.experts.count
            return RoutingDecision(
                gate: view, choices: choices, kept: [Bool](repeating: true, count: count),
                weights: [Float](repeating: 1, count: count))
        }
        let choices = rule.choose(view)
        let kept =
            rule.choicesQueue
            ? ExpertCapacity.keep(choices, view) : [Bool](repeating: true, count: choices.experts.count)
        let weights =
            weighting?.weights(choices, kept: kept, view)
            ?? GateWeights.forward(choices, kept: kept, view, normalization)
        return RoutingDecision(gate: view, choices: choices, kept: kept, weights: weights)
    }

    /// −∞ for logits of hidden experts. Where all are hidden logits stay: of nothing there is no softmax.
    private func hide(_ hidden: [Bool], in logits: Tensor) {
        for token in 0..<logits.rows {
            let range = token * logits.columns..<(token + 1) * logits.columns
            guard !hidden[range].allSatisfy({ $0 }) else { continue }
            for index in range where hidden[index] { logits.pointer[index] = -.infinity }
        }
    }

    /// What the outputs of a decision's choices are multiplied by beside their weights, flat; nil for 1.
    func outputFactors(_ decision: RoutingDecision) -> [Float]? {
        maskings.reduce(nil) { product, masking in
            guard let factors = masking.factors(decision) else { return product }
            return product.map { zip($0, factors).map(*) } ?? factors
        }
    }

    /// The losses in use, before their weights.
    public func losses(_ decision: RoutingDecision) -> [BlockFigure] {
        losses.map { BlockFigure(type(of: $0).figure, $0.value(decision)) }
    }

    /// The losses in use, and what methods have to say of a decision.
    func figures(_ decision: RoutingDecision) -> [BlockFigure] {
        losses(decision) + gate.configuration.methods.flatMap { $0.figures(decision) }
    }

    /// The gradients of the logits, [T, V], and of the thresholds, [V] or none, from that of the weights, flat, and of the losses:
    /// each loss times its weight is multiplied by `lossScale`.
    public func backward(
        _ context: ComputeContext, _ decision: RoutingDecision, dweights: [Float], lossScale: Float
    ) -> (logits: Tensor, thresholds: [Float]) {
        let gradient = context.zeros(decision.tokens, decision.visible.count)
        if let weighting {
            weighting.addGradient(decision, dweights: dweights, to: gradient)
        } else {
            GateWeights.backward(decision, dweights: dweights, normalization, addingTo: gradient)
        }
        for loss in losses { loss.addScoreGradient(decision, scale: lossScale * loss.weight, to: gradient) }
        let dthresholds = thresholdGradient(context, decision, dscores: gradient)
        // Shares that are the scores themselves have the scores' gradient.
        let dshares = scoreFunction.addsUpToOne ? gradient : context.zeros(decision.tokens, decision.visible.count)
        for loss in losses { loss.addShareGradient(decision, scale: lossScale * loss.weight, to: dshares) }
        if !scoreFunction.addsUpToOne {
            ScoreShares.backward(
                dshares, shares: decision.gate.shares, scores: decision.gate.scores, addingTo: gradient)
        }
        scoreFunction.backward(scores: decision.gate.scores, gradient: gradient)
        for loss in losses { loss.addLogitGradient(decision, scale: lossScale * loss.weight, to: gradient) }
        return (gradient, dthresholds)
    }

    /// What a choice gives its score it takes from its threshold, which is made a score as logits are.
    private func thresholdGradient(_ context: ComputeContext, _ decision: RoutingDecision, dscores: Tensor) -> [Float] {
        guard let thresholds = decision.gate.thresholds else { return [] }
        let scores = context.uninitialized(1, thresholds.count), gradient = context.zeros(1, thresholds.count)
        scoreFunction.forward(context.tensor(thresholds, rows: 1, columns: thresholds.count), into: scores)
        for token in 0..<decision.tokens {
            for expert in thresholds.indices { gradient[0, expert] -= dscores[token, expert] }
        }
        scoreFunction.backward(scores: scores, gradient: gradient)
        return gradient.elements
    }

    /// Moves what the methods learn from loads: `chosen` [V], the world's of an update.
    func update(chosen: ArraySlice<Int>) { for adjustment in adjustments { adjustment.update(chosen: chosen) } }
}
