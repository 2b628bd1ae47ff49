import Foundation

/// How much an expert is worth keeping ("Memory-efficient NLLB-200", arXiv 2212.09811, equations 3 and 4), as sums over the gates
/// that see it; one stratum gives the paper's.
public enum PruningMetric: String, CaseIterable, Sendable {
    /// Σ n · exp(confidence) / Σ T, with n the gate's tokens whose first choice the expert is, T its tokens, and confidence the
    /// expert's probability there.
    case importance
    /// Σ n / Σ T.
    case top1
    /// Σ tokens whose first or further choice the expert is, over Σ T.
    case top2
    /// Σ n · confidence / Σ T.
    case vanilla
    /// Drawn: what the others are measured against.
    case random
}

/// What a gate of a block did on some text. Arrays are by global expert id, over all experts of the block.
public struct GateUse: Equatable, Sendable {
    public var tokens: Int
    public var first: [Int]
    public var second: [Int]
    public var confidence: [Double]

    public init(tokens: Int, first: [Int], second: [Int], confidence: [Double]) {
        self.tokens = tokens
        self.first = first
        self.second = second
        self.confidence = confidence
    }

    /// The use on two texts together.
    public static func + (left: GateUse, right: GateUse) -> GateUse {
        GateUse(
            tokens: left.tokens + right.tokens, first: zip(left.first, right.first).map(+),
            second: zip(left.second, right.second).map(+),
            confidence: left.first.indices.map { expert in
                let (a, b) = (Double(left.first[expert]), Double(right.first[expert]))
                return a + b > 0 ? (a * left.confidence[expert] + b * right.confidence[expert]) / (a + b) : 0
            })
    }
}

/// The experts of one block that stay when others are pruned.
public struct BlockPruning: Equatable, Sendable {
    /// Experts' worth by the metric, by global id, over the sum of their stratum's.
    public let shares: [Double]
    /// Global ids, ascending.
    public let kept: [Int]

    /// Keeps the best of every stratum: as many as `keep` of its experts, rounded, and at least one. Of equal experts the lower id
    /// stays. `random`, in 0 ..< 1 by expert, is what the metric of that name goes by.
    public init(_ gates: [GateUse], strata: [Int], keep: Double, by metric: PruningMetric, random: [Double] = []) {
        let worth = metric == .random ? random : Self.worth(gates, by: metric)
        precondition(worth.count == strata.reduce(0, +), "every expert has a worth")
        var shares: [Double] = [], kept: [Int] = [], first = 0
        for size in strata {
            let experts = first..<first + size, total = worth[experts].reduce(0, +)
            shares += worth[experts].map { total > 0 ? $0 / total : 1 / Double(size) }
            let best = experts.sorted { (worth[$0], -$0) > (worth[$1], -$1) }
            kept += best.prefix(max(1, Int((keep * Double(size)).rounded()))).sorted()
            first += size
        }
        self.shares = shares
        self.kept = kept
    }

    /// Keeps what is said; every expert of a stratum is worth as much.
    public init(kept: [Int], strata: [Int]) {
        shares = strata.flatMap { size in [Double](repeating: 1 / Double(size), count: size) }
        self.kept = kept.sorted()
    }

    /// Before normalisation, by global expert id.
    static func worth(_ gates: [GateUse], by metric: PruningMetric) -> [Double] {
        let tokens = Double(max(gates.reduce(0) { $0 + $1.tokens }, 1))
        return (gates.first?.first ?? []).indices.map { expert in
            gates.reduce(0) { sum, gate in
                let n = Double(gate.first[expert])
                switch metric {
                case .importance: return sum + n * exp(gate.confidence[expert])
                case .vanilla: return sum + n * gate.confidence[expert]
                case .top2: return sum + n + Double(gate.second[expert])
                case .top1, .random: return sum + n
                }
            } / tokens
        }
    }
}
