import Foundation
import TensorCore

/// The routing rule of one gate (SMOE.md, "The block", steps 2 to 5): a pure function of scores.
public struct StratifiedRouter: Sendable {
    public var topK: Int
    public var capacityFactor: Float?
    public var secondExpert: SecondExpertPolicy
    public var normalization: GateNormalization

    public init(topK: Int, capacityFactor: Float?, secondExpert: SecondExpertPolicy, normalization: GateNormalization) {
        self.topK = topK
        self.capacityFactor = capacityFactor
        self.secondExpert = secondExpert
        self.normalization = normalization
    }

    /// The rule of training, or of evaluation: dropless unless configured, and always the best second expert.
    public init(_ configuration: MixtureConfiguration, isTraining: Bool) {
        self.init(
            topK: configuration.topK,
            capacityFactor: isTraining ? configuration.capacityFactor : configuration.evaluationCapacityFactor,
            secondExpert: isTraining ? configuration.secondExpert : .best,
            normalization: configuration.gateNormalization)
    }

    /// Routes tokens by `scores` [tokens, visible.count], which become the probabilities in place. `rows` numbers the tokens
    /// within their group: noise is drawn by it, under `key`.
    public func route(scores: Tensor, visible: Range<Int>, rows: [Int32], key: RandomKey) -> RoutingDecision {
        precondition(scores.columns == visible.count && scores.rows == rows.count)
        let tokens = rows.count, k = min(topK, visible.count)
        var experts = [Int32](repeating: -1, count: tokens * k)
        var firstCounts = [Int](repeating: 0, count: visible.count)
        for token in 0..<tokens {
            let p = scores.row(token)
            let noisy = k == 2 && secondExpert == .sampling
            // Gumbel noise belongs to the logits, which the probabilities are about to replace.
            let sampled = noisy
                ? Self.sampledSecond(p, visible.count, first: Self.largest(p, visible.count), row: Int(rows[token]), key: key)
                : -1
            SoftmaxKernel.normalize(p, count: visible.count)
            let first = Self.largest(p, visible.count)
            firstCounts[first] += 1
            experts[token * k] = Int32(visible.lowerBound + first)
            guard k == 2 else { continue }
            let second = noisy ? sampled : Self.largest(p, visible.count, except: first)
            let isDrawn = secondExpert != .random || key.uniform(Int(rows[token])) < min(1, 2 * p[second])
            if isDrawn { experts[token * k + 1] = Int32(visible.lowerBound + second) }
        }
        let fractions = firstCounts.map { Float($0) / Float(max(tokens, 1)) }
        let limit = ExpertCapacity.limit(tokens: tokens, visible: visible.count, factor: capacityFactor)
        let kept = ExpertCapacity.keep(experts, choices: k, visible: visible, limit: limit)
        return RoutingDecision(
            tokens: tokens, choices: k, visible: visible, experts: experts, kept: kept,
            weights: weights(experts, kept, choices: k, visible: visible, probabilities: scores), probabilities: scores,
            loadBalancingLoss: LoadBalancingLoss.value(fractions: fractions, probabilities: scores),
            firstChoiceFractions: fractions)
    }

    private func weights(
        _ experts: [Int32], _ kept: [Bool], choices k: Int, visible: Range<Int>, probabilities: Tensor
    ) -> [Float] {
        var weights = [Float](repeating: 0, count: experts.count)
        for index in 0..<experts.count where kept[index] {
            weights[index] = probabilities[index / k, Int(experts[index]) - visible.lowerBound]
        }
        guard k == 2, normalization != .never else { return weights }
        for token in 0..<probabilities.rows {
            var total: Float = 0
            for index in 2 * token ... 2 * token + 1 {
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

    /// The gradient of the scores [tokens, visible.count] from that of the weights and of the load-balancing loss.
    public func backward(
        _ decision: RoutingDecision, dweights: [Float], loadBalancingScale: Float, into dscores: Tensor
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
            for expert in 0..<visible.count { ds[expert] = p[expert] * (dp[expert] - inner) }
        }
        precondition(dweights.count == decision.tokens * k)
    }

    /// dp of one token's choices. With n = Σ p over the normalised choices: g_e = p_e / n, so
    /// dp_e = (dg_e − Σ g dg over the kept) / n for every normalised choice, where dg is 0 for a dropped one.
    private func addWeightGradient(
        _ decision: RoutingDecision, _ token: Int, _ dweights: [Float], _ p: UnsafeMutablePointer<Float>, to dp: inout [Float]
    ) {
        let k = decision.choices, lower = decision.visible.lowerBound
        let indices = token * k ..< (token + 1) * k
        guard k == 2, normalization != .never else {
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

    private static func largest(_ p: UnsafeMutablePointer<Float>, _ count: Int, except: Int = -1) -> Int {
        var best = except == 0 ? 1 : 0
        for expert in 0..<count where expert != except && p[expert] > p[best] { best = expert }
        return best
    }

    /// argmax of logit + Gumbel noise over all experts but the first choice: a draw from their softmax.
    private static func sampledSecond(
        _ logits: UnsafeMutablePointer<Float>, _ count: Int, first: Int, row: Int, key: RandomKey
    ) -> Int {
        var best = -1, bestScore = -Float.infinity
        for expert in 0..<count where expert != first {
            let score = logits[expert] + key.gumbel(row * count + expert)
            if best < 0 || score > bestScore { (best, bestScore) = (expert, score) }
        }
        return best
    }
}
