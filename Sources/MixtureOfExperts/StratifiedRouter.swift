import TensorCore

/// The routing rule of one gate (Docs/Method.md, "The block in words", from (5) to (6)): a pure function of scores.
public struct StratifiedRouter: Sendable {
    public var topK: Int
    public var capacityFactor: Float?
    public var secondExpert: SecondExpertPolicy
    public var normalization: GateNormalization
    public var rule: RoutingRule
    /// Whether an expert that is full keeps the choices of highest probability instead of the first.
    public var batchPrioritized: Bool

    public init(
        topK: Int, capacityFactor: Float?, secondExpert: SecondExpertPolicy, normalization: GateNormalization,
        rule: RoutingRule = .tokenChoice, batchPrioritized: Bool = false
    ) {
        self.topK = topK
        self.capacityFactor = capacityFactor
        self.secondExpert = secondExpert
        self.normalization = normalization
        self.rule = rule
        self.batchPrioritized = batchPrioritized
    }

    /// The rule of training, or of evaluation: dropless unless configured, always the best second expert, and tokens choose.
    public init(_ configuration: MixtureConfiguration, isTraining: Bool) {
        self.init(
            topK: configuration.topK,
            capacityFactor: isTraining ? configuration.capacityFactor : configuration.evaluationCapacityFactor,
            secondExpert: isTraining ? configuration.secondExpert : .best,
            normalization: configuration.routing == .expertChoice ? .never : configuration.gateNormalization,
            rule: configuration.routing == .expertChoice && !isTraining ? .tokenChoice : configuration.routing,
            batchPrioritized: configuration.batchPrioritized)
    }

    /// Routes tokens by `scores` [tokens, visible.count], which become the probabilities in place. `rows` numbers the tokens
    /// within their group: noise is drawn by it, under `key`. `selectionBias` is added to the probabilities where tokens
    /// choose; empty is none.
    public func route(
        scores: Tensor, visible: Range<Int>, rows: [Int32], key: RandomKey, selectionBias: [Float] = []
    ) -> RoutingDecision {
        precondition(scores.columns == visible.count && scores.rows == rows.count)
        let tokens = rows.count
        let limit = ExpertCapacity.limit(tokens: tokens, visible: visible.count, factor: capacityFactor)
        let isSampled = rule == .tokenChoice && topK == 2 && visible.count > 1 && secondExpert == .sampling
        precondition(!isSampled || selectionBias.isEmpty, "a second choice is drawn from the scores as they are")
        // Gumbel noise belongs to the logits, which the probabilities are about to replace.
        let sampled = isSampled ? sampledChoices(scores, visible: visible, rows: rows, key: key) : []
        let logSums = RouterZLoss.normalize(scores)
        let choices: RouterChoices, kept: [Bool]
        switch rule {
        case .expertChoice:
            (choices, kept) = expertChoices(scores, visible: visible, limit: limit ?? tokens)
        case .tokenChoice, .forcedBalanced:
            choices =
                rule == .forcedBalanced
                ? balancedChoices(tokens: tokens, visible: visible)
                : tokenChoices(
                    scores, visible: visible, rows: rows, key: key, sampled: sampled, selectionBias: selectionBias)
            kept = ExpertCapacity.keep(
                choices.experts, choices: choices.count, visible: visible, limit: limit,
                order: batchPrioritized ? priorities(choices, scores, visible) : Array(0..<tokens))
        }
        let (experts, k) = (choices.experts, choices.count)
        var firstCounts = [Int](repeating: 0, count: visible.count)
        for token in 0..<tokens { firstCounts[Int(experts[token * k]) - visible.lowerBound] += 1 }
        let fractions = firstCounts.map { Float($0) / Float(max(tokens, 1)) }
        return RoutingDecision(
            tokens: tokens, choices: k, visible: visible, experts: experts, kept: kept,
            weights: weights(experts, kept, choices: k, visible: visible, probabilities: scores), probabilities: scores,
            loadBalancingLoss: LoadBalancingLoss.value(fractions: fractions, probabilities: scores),
            firstChoiceFractions: fractions, zLoss: RouterZLoss.value(logSums), logSums: logSums)
    }

    /// Tokens by the probability of their first choice, highest first, equal ones in token order ("Scaling Vision with Sparse
    /// Mixture of Experts", arXiv 2106.05974): what is dropped is what the gate cares least about.
    private func priorities(_ choices: RouterChoices, _ probabilities: Tensor, _ visible: Range<Int>) -> [Int] {
        let priority = (0..<probabilities.rows).map {
            probabilities[$0, Int(choices.experts[$0 * choices.count]) - visible.lowerBound]
        }
        return priority.indices.sorted { (priority[$0], $1) > (priority[$1], $0) }
    }

    /// Two choices of a token are normalised; those of experts, and a single one, have the bare probability.
    private func normalizes(_ choices: Int) -> Bool { choices == 2 && rule != .expertChoice && normalization != .never }

    private func weights(
        _ experts: [Int32], _ kept: [Bool], choices k: Int, visible: Range<Int>, probabilities: Tensor
    ) -> [Float] {
        var weights = [Float](repeating: 0, count: experts.count)
        for index in 0..<experts.count where kept[index] {
            weights[index] = probabilities[index / k, Int(experts[index]) - visible.lowerBound]
        }
        guard normalizes(k) else { return weights }
        for token in 0..<probabilities.rows {
            var total: Float = 0
            for index in 2 * token...2 * token + 1 {
                if normalization == .afterDrop {
                    total += weights[index]
                } else if experts[index] >= 0 {
                    total += probabilities[token, Int(experts[index]) - visible.lowerBound]
                }
            }
            let inverse = 1 / max(total, .ulpOfOne)
            weights[2 * token] *= inverse
            weights[2 * token + 1] *= inverse
        }
        return weights
    }

    /// The gradient of the scores [tokens, visible.count] from that of the weights and of the losses.
    public func backward(
        _ decision: RoutingDecision, dweights: [Float], loadBalancingScale: Float, zLossScale: Float = 0, into dscores: Tensor
    ) {
        let k = decision.choices, visible = decision.visible
        let balance = LoadBalancingLoss.gradient(fractions: decision.firstChoiceFractions, tokens: decision.tokens)
        var dp = [Float](repeating: 0, count: visible.count)
        for token in 0..<decision.tokens {
            let p = decision.probabilities.row(token)
            for expert in 0..<visible.count { dp[expert] = loadBalancingScale * balance[expert] }
            addWeightGradient(decision, token, dweights, p, to: &dp)
            var inner: Float = 0
            for expert in 0..<visible.count { inner += dp[expert] * p[expert] }
            let ds = dscores.row(token)
            let dlogSum = 2 * zLossScale * decision.logSums[token] / Float(decision.tokens)
            for expert in 0..<visible.count { ds[expert] = p[expert] * (dp[expert] - inner + dlogSum) }
        }
        precondition(dweights.count == decision.tokens * k)
    }

    /// dp of one token's choices. With n = Σ p over the normalised choices: g_e = p_e / n, so
    /// dp_e = (dg_e − Σ g dg over the kept) / n for every normalised choice, where dg is 0 for a dropped one.
    private func addWeightGradient(
        _ decision: RoutingDecision, _ token: Int, _ dweights: [Float], _ p: UnsafeMutablePointer<Float>, to dp: inout [Float]
    ) {
        let k = decision.choices, lower = decision.visible.lowerBound
        let indices = token * k..<(token + 1) * k
        guard normalizes(k) else {
            for index in indices where decision.kept[index] { dp[Int(decision.experts[index]) - lower] += dweights[index] }
            return
        }
        var total: Float = 0, inner: Float = 0
        for index in indices where isNormalized(decision, index) {
            total += p[Int(decision.experts[index]) - lower]
            if decision.kept[index] { inner += decision.weights[index] * dweights[index] }
        }
        guard total > .ulpOfOne else { return }
        for index in indices where isNormalized(decision, index) {
            let dg = decision.kept[index] ? dweights[index] : 0
            dp[Int(decision.experts[index]) - lower] += (dg - inner) / total
        }
    }

    private func isNormalized(_ decision: RoutingDecision, _ index: Int) -> Bool {
        normalization == .afterDrop ? decision.kept[index] : decision.experts[index] >= 0
    }
}
