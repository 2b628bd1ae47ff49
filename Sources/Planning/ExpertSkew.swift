import Foundation
import MixtureOfExperts
import TensorCore

/// How uneven the experts' loads are.
public enum ExpertSkew: Equatable, Sendable {
    /// Every expert that a gate sees has as many rows.
    case uniform
    /// The i-th busiest expert of a gate has rows in proportion to i^(−exponent). Which is which is drawn for every gate.
    case zipf(Double)
    /// Rows of each stratum's gates for each expert, of all blocks, as a run measured them.
    case measured([[Double]])

    /// `uniform`, or `zipf:` and an exponent; nil for anything else.
    public init?(_ text: String) {
        if text == "uniform" {
            self = .uniform
        } else if text.hasPrefix("zipf:"), let exponent = Double(text.dropFirst(5)), (0...10).contains(exponent) {
            self = .zipf(exponent)
        } else {
            return nil
        }
    }

    /// The same for the experts of some blocks, where what was measured is of strata that are as large or larger.
    func narrowed(to mixture: MixtureConfiguration, from wider: MixtureConfiguration) -> ExpertSkew {
        guard case .measured(let load) = self, mixture.strata != wider.strata else { return self }
        let places = expertPlaces(of: mixture.strata, in: wider.strata)
        return .measured(load.map { row in places.map { $0 < row.count ? row[$0] : 0 } })
    }

    /// Rows of a token for each expert, by stratum of the gate, in one block; `routing` says how many a gate sends. No expert has
    /// more than one for each of a token's rows at the gate: what goes beyond that goes to the others.
    func rows(_ routing: UniformRouting, rowsPerToken: Int, block: Int, key: RandomKey) -> [[Double]] {
        routing.trainedRowsOfGate.enumerated().map { stratum, even in
            let seen = even.indices.filter { even[$0] > 0 }
            let total = even.reduce(0, +), most = routing.arrivals[stratum] * Double(rowsPerToken)
            var weights = [Double](repeating: 0, count: even.count)
            switch self {
            case .uniform: return even
            case .zipf(let exponent):
                let draw = key.derived(block).derived(stratum)
                let order = seen.map { (draw.uniform($0), $0) }.sorted { $0 < $1 }
                for (place, expert) in order.enumerated() { weights[expert.1] = pow(Double(place + 1), -exponent) }
            case .measured(let load):
                for expert in seen where stratum < load.count && expert < load[stratum].count {
                    weights[expert] = load[stratum][expert]
                }
                if weights.allSatisfy({ $0 == 0 }) { return even }
            }
            return Self.shared(total, by: weights, atMost: most)
        }
    }

    /// `total` in proportion to `weights`, each share at most `most`: what goes beyond goes to the others by their weights, or
    /// where these are 0, to none.
    static func shared(_ total: Double, by weights: [Double], atMost most: Double) -> [Double] {
        var shares = [Double](repeating: 0, count: weights.count), rest = total
        var open = weights.indices.filter { weights[$0] > 0 }
        while !open.isEmpty, rest > 0 {
            let sum = open.reduce(0) { $0 + weights[$1] }
            let full = open.filter { rest * weights[$0] / sum > most }
            guard !full.isEmpty else {
                for index in open { shares[index] = rest * weights[index] / sum }
                break
            }
            for index in full { shares[index] = most }
            rest -= most * Double(full.count)
            open.removeAll(where: full.contains)
        }
        return shares
    }
}
