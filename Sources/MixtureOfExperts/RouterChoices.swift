import TensorCore

/// What tokens and experts choose, before capacity: experts, `count` a token, best first, −1 for none.
struct RouterChoices {
    let count: Int
    var experts: [Int32]

    init(tokens: Int, count: Int) {
        self.count = count
        experts = [Int32](repeating: -1, count: tokens * count)
    }
}

extension StratifiedRouter {
    /// Each token's best experts. With a `selectionBias` those of p + bias, while weights stay those of p ("Auxiliary-Loss-Free
    /// Load Balancing Strategy for Mixture-of-Experts", arXiv 2408.15664). `sampled` holds first and second choice where the
    /// second was drawn.
    func tokenChoices(
        _ probabilities: Tensor, visible: Range<Int>, rows: [Int32], key: RandomKey, sampled: [(first: Int, second: Int)],
        selectionBias: [Float]
    ) -> RouterChoices {
        let k = min(topK, visible.count)
        var choices = RouterChoices(tokens: rows.count, count: k)
        var biased = [Float](repeating: 0, count: visible.count)
        for token in 0..<rows.count {
            let p = probabilities.row(token)
            var (first, second) = (0, -1)
            if !sampled.isEmpty {
                (first, second) = sampled[token]
            } else if selectionBias.isEmpty {
                first = Self.largest(p, visible.count)
                if k == 2 { second = Self.largest(p, visible.count, except: first) }
            } else {
                for expert in biased.indices { biased[expert] = p[expert] + selectionBias[expert] }
                biased.withUnsafeMutableBufferPointer { biased in
                    first = Self.largest(biased.baseAddress!, visible.count)
                    if k == 2 { second = Self.largest(biased.baseAddress!, visible.count, except: first) }
                }
            }
            choices.experts[token * k] = Int32(visible.lowerBound + first)
            guard k == 2 else { continue }
            let isDrawn =
                secondExpert != .random
                || key.derived(Int(rows[token])).uniform(visible.lowerBound + second) < min(1, 2 * p[second])
            if isDrawn { choices.experts[token * k + 1] = Int32(visible.lowerBound + second) }
        }
        return choices
    }

    /// First and second choice of each token, the second the argmax of logit + Gumbel noise over the others: a draw from their
    /// softmax.
    func sampledChoices(
        _ logits: Tensor, visible: Range<Int>, rows: [Int32], key: RandomKey
    ) -> [(first: Int, second: Int)] {
        let count = logits.columns
        return rows.enumerated().map { token, row in
            let scores = logits.row(token), first = Self.largest(scores, count)
            let tokenKey = key.derived(Int(row))
            var best = -1, bestScore = -Float.infinity
            for expert in 0..<count where expert != first {
                let score = scores[expert] + tokenKey.gumbel(visible.lowerBound + expert)
                if best < 0 || score > bestScore { (best, bestScore) = (expert, score) }
            }
            return (first, best)
        }
    }

    /// Each expert's best tokens, at most `limit`; equal probabilities go to the earlier token. A token's first entry is the
    /// expert that it scores best, taken by it or not: that decides its next stratum. The others are those that took it.
    func expertChoices(_ probabilities: Tensor, visible: Range<Int>, limit: Int) -> (choices: RouterChoices, kept: [Bool]) {
        let tokens = probabilities.rows, count = visible.count
        var isTaken = [Bool](repeating: false, count: tokens * count)
        for expert in 0..<count {
            let order = (0..<tokens).sorted { (probabilities[$0, expert], $1) > (probabilities[$1, expert], $0) }
            for token in order.prefix(limit) { isTaken[token * count + expert] = true }
        }
        var choices = RouterChoices(tokens: tokens, count: count)
        var kept = [Bool](repeating: false, count: tokens * count)
        for token in 0..<tokens {
            let best = Self.largest(probabilities.row(token), count)
            let others = (0..<count).filter { $0 != best && isTaken[token * count + $0] }
                .sorted { (probabilities[token, $0], $1) > (probabilities[token, $1], $0) }
            for (place, expert) in ([best] + others).enumerated() {
                choices.experts[token * count + place] = Int32(visible.lowerBound + expert)
                kept[token * count + place] = isTaken[token * count + expert]
            }
        }
        return (choices, kept)
    }

    /// Experts in turn.
    func balancedChoices(tokens: Int, visible: Range<Int>) -> RouterChoices {
        let k = min(topK, visible.count)
        var choices = RouterChoices(tokens: tokens, count: k)
        for index in choices.experts.indices {
            choices.experts[index] = Int32(visible.lowerBound + (index / k + index % k) % visible.count)
        }
        return choices
    }

    /// The highest score; of equal ones the first.
    static func largest(_ p: UnsafeMutablePointer<Float>, _ count: Int, except: Int = -1) -> Int {
        var best = except == 0 ? 1 : 0
        for expert in 0..<count where expert != except && p[expert] > p[best] { best = expert }
        return best
    }
}
