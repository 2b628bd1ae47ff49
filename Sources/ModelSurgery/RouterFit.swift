import Foundation
import TensorCore

/// A gate that is made to find the experts with most positive mass for a row (MoEfication, arXiv 2110.01786, as its released code
/// has it, which keeps the second best epoch where this keeps the best; the linear gate is Strata's own).
struct RouterFit {
    enum Kind {
        /// W h, by the cross-entropy of its softmax with the shares s_e / Σ s.
        case linear
        /// M2 tanh(M1 h / ‖h‖), by binary cross-entropy with s_e over the largest s of the batch.
        case twoLayers
    }

    let kind: Kind
    let dim: Int
    let experts: Int
    /// W or M1, [E, d].
    private(set) var first: [Float]
    /// M2, [E, E]; empty of the linear kind.
    private(set) var second: [Float]

    private static let epochs = 30, batch = 512, learningRate: Float = 0.01

    /// Begins with the centres [E, d] of the experts and, of two layers, with the identity behind them.
    init(_ kind: Kind, centres: [Float], dim: Int) {
        (self.kind, self.dim, experts) = (kind, dim, centres.count / dim)
        first = centres
        second = []
        if kind == .twoLayers {
            second = [Float](repeating: 0, count: experts * experts)
            for expert in 0..<experts { second[expert * experts + expert] = 1 }
        }
    }

    /// Logits [T, E] of rows [T, d].
    func scores(_ rows: [Float]) -> [Float] {
        let tokens = rows.count / dim
        guard kind == .twoLayers else { return productWithTranspose(rows, first, m: tokens, n: experts, k: dim) }
        return productWithTranspose(hidden(unitRows(rows, dim: dim)), second, m: tokens, n: experts, k: experts)
    }

    private func hidden(_ units: [Float]) -> [Float] {
        productWithTranspose(units, first, m: units.count / dim, n: experts, k: dim).map { tanh($0) }
    }

    /// The mean loss of some rows against the masses [T, E] of the experts.
    func loss(_ rows: [Float], masses: [Float]) -> Double {
        let scores = scores(rows), targets = targets(masses)
        var sum = 0.0
        for token in 0..<scores.count / experts {
            let range = token * experts..<(token + 1) * experts
            switch kind {
            case .linear:
                let largest = scores[range].max() ?? 0
                let logSum = Double(largest) + log(range.reduce(0.0) { $0 + exp(Double(scores[$1] - largest)) })
                sum += range.reduce(0.0) { $0 + Double(targets[$1]) * (logSum - Double(scores[$1])) }
            case .twoLayers:
                // log(1 + e^z) − t z.
                sum +=
                    range.reduce(0.0) {
                        let z = Double(scores[$1])
                        return $0 + max(z, 0) + log1p(exp(-abs(z))) - Double(targets[$1]) * z
                    } / Double(experts)
            }
        }
        return sum / Double(max(scores.count / experts, 1))
    }

    /// What scores are to be like, [T, E].
    private func targets(_ masses: [Float]) -> [Float] {
        guard kind == .linear else {
            let largest = masses.max() ?? 0
            return masses.map { largest > 0 ? $0 / largest : 0 }
        }
        var targets = masses
        for start in stride(from: 0, to: masses.count, by: experts) {
            let sum = masses[start..<start + experts].reduce(0, +)
            for index in start..<start + experts { targets[index] = sum > 0 ? masses[index] / sum : 0 }
        }
        return targets
    }

    /// Of all positive mass the share that the `count` experts of highest scores have, over all rows; 1 where there is none.
    static func share(_ scores: [Float], masses: [Float], experts: Int, count: Int) -> Double {
        var (held, all) = (0.0, 0.0)
        for start in stride(from: 0, to: scores.count, by: experts) {
            let best = (start..<start + experts).sorted { (scores[$0], $1) > (scores[$1], $0) }.prefix(count)
            held += best.reduce(0) { $0 + Double(masses[$1]) }
            all += masses[start..<start + experts].reduce(0) { $0 + Double($1) }
        }
        return all > 0 ? held / all : 1
    }

    /// Fits to rows [T, d] with masses [T, E]: Adam, in batches drawn under `key`. The last tenth of the rows is held out: the
    /// epoch is kept whose best fifth of the experts has most of the mass there.
    mutating func fit(_ rows: [Float], masses: [Float], key: RandomKey) {
        let tokens = rows.count / dim, held = tokens / 10, trained = tokens - held
        let heldRows = Array(rows[(trained * dim)...]), heldMasses = Array(masses[(trained * experts)...])
        let fifth = max(1, experts / 5)
        func share() -> Double {
            Self.share(scores(heldRows), masses: heldMasses, experts: experts, count: fifth)
        }
        var best = (share: share(), first: first, second: second)
        var adam = (Moments(first.count), Moments(second.count)), step = 0
        for epoch in 0..<Self.epochs {
            let order = (0..<trained).map { (key.derived(epoch).uniform($0), $0) }.sorted { $0 < $1 }.map(\.1)
            for start in stride(from: 0, to: trained, by: Self.batch) {
                let tokens = order[start..<min(start + Self.batch, trained)]
                let batch = tokens.flatMap { rows[$0 * dim..<($0 + 1) * dim] }
                let (dfirst, dsecond) = gradients(
                    batch, masses: tokens.flatMap { masses[$0 * experts..<($0 + 1) * experts] })
                step += 1
                adam.0.update(&first, dfirst, step: step, learningRate: Self.learningRate)
                adam.1.update(&second, dsecond, step: step, learningRate: Self.learningRate)
            }
            let share = share()
            if share > best.share { best = (share, first, second) }
        }
        (first, second) = (best.first, best.second)
    }

    /// The gradients of the mean loss.
    private func gradients(_ rows: [Float], masses: [Float]) -> (first: [Float], second: [Float]) {
        let tokens = rows.count / dim, targets = targets(masses)
        switch kind {
        case .linear:
            var dscores = productWithTranspose(rows, first, m: tokens, n: experts, k: dim)
            for start in stride(from: 0, to: dscores.count, by: experts) {
                let range = start..<start + experts, largest = dscores[range].max() ?? 0
                let powers = dscores[range].map { exp($0 - largest) }, sum = powers.reduce(0, +)
                // Targets of a row without mass are 0: it is no example.
                let weight: Float = targets[range].contains { $0 > 0 } ? 1 : 0
                for (place, index) in range.enumerated() {
                    dscores[index] = (weight * powers[place] / sum - targets[index]) / Float(tokens)
                }
            }
            return (transposeTimes(dscores, rows, m: experts, n: dim, k: tokens), [])
        case .twoLayers:
            let units = unitRows(rows, dim: dim), z = hidden(units)
            var dscores = productWithTranspose(z, second, m: tokens, n: experts, k: experts)
            for index in dscores.indices {
                dscores[index] = (1 / (1 + exp(-dscores[index])) - targets[index]) / Float(tokens * experts)
            }
            var dz = product(dscores, second, m: tokens, n: experts, k: experts)
            for index in dz.indices { dz[index] *= 1 - z[index] * z[index] }
            return (
                transposeTimes(dz, units, m: experts, n: dim, k: tokens),
                transposeTimes(dscores, z, m: experts, n: experts, k: tokens)
            )
        }
    }

    /// Adam's moments, with its usual constants.
    private struct Moments {
        private var first: [Float]
        private var second: [Float]

        init(_ count: Int) {
            first = [Float](repeating: 0, count: count)
            second = first
        }

        mutating func update(_ values: inout [Float], _ gradients: [Float], step: Int, learningRate: Float) {
            let corrections = (1 - pow(0.9, Float(step)), 1 - pow(0.999, Float(step)))
            for index in values.indices {
                let gradient = gradients[index]
                first[index] += 0.1 * (gradient - first[index])
                second[index] += 0.001 * (gradient * gradient - second[index])
                values[index] -=
                    learningRate * (first[index] / corrections.0) / ((second[index] / corrections.1).squareRoot() + 1e-8)
            }
        }
    }
}
