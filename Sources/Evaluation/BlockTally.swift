import Foundation
import MixtureOfExperts
import TensorCore

/// What the gates of one block did with the tokens they saw: exact sums, so that token groups and ranks can be added up in any
/// order.
struct BlockTally: Equatable, Sendable {
    /// One gate's part.
    struct Gate: Equatable, Sendable {
        /// Experts that the gate sees.
        let visible: Range<Int>
        var tokens: [Int64] = [0]
        /// First choices, and all others (`second`), by global expert id.
        var first: [Int64]
        var second: [Int64]
        /// Σ over the tokens whose first choice an expert was of its probability, in units of `probabilityUnit`, by global expert id.
        var confidence: [Int64]
        /// Choices beyond the capacity of training.
        var dropped: [Int64] = [0]
        /// Σ over tokens of the entropy, in units of `entropyUnit`.
        var entropy: [Int64] = [0]
    }

    /// Nats. Whole units add up to the same in any order; 2³¹ tokens of 4 nats fit.
    static let entropyUnit = 0x1p-28
    static let probabilityUnit = 0x1p-28

    private let configuration: MixtureConfiguration
    /// Strata passed, by token id: of a token in parts, those of all parts.
    var strataPassed: [Int64]
    var gates: [Gate]
    /// [a · experts + b]: tokens sent to a by one gate and to b by a later one.
    var coActivation: [Int64]
    /// [a · experts + b], a < b: tokens sent to both by one gate.
    var gatePairs: [Int64]

    init(_ configuration: MixtureConfiguration, vocabulary: Int) {
        self.configuration = configuration
        let experts = configuration.experts
        strataPassed = [Int64](repeating: 0, count: vocabulary)
        let none = [Int64](repeating: 0, count: experts)
        gates = configuration.strata.indices.map {
            Gate(visible: configuration.visibleExperts(atStratum: $0), first: none, second: none, confidence: none)
        }
        coActivation = [Int64](repeating: 0, count: experts * experts)
        gatePairs = coActivation
    }

    var experts: Int { configuration.experts }
    /// The rows that gates see for a token; each passes strata on its own.
    var rowsPerToken: Int { configuration.rowsPerToken }

    /// Adds one token group: `tokens` by row, and every gate's decision.
    mutating func add(tokens: [Int32], decisions: [RoutingDecision]) {
        precondition(decisions.count == gates.count, "a decision for each gate")
        let rowCount = tokens.count * rowsPerToken
        var progress = StratumProgress(configuration, tokens: rowCount)
        var path = [[Int32]](repeating: [], count: rowCount)
        for (gate, decision) in decisions.enumerated() {
            let rows = progress.tokens(at: gate)
            progress.advance(rows, by: decision)
            for (token, row) in rows.map({ Int($0) }).enumerated() {
                strataPassed[Int(tokens[row / rowsPerToken])] += 1
                let choices = decision.experts[decision.choices(ofToken: token)]
                for earlier in path[row] {
                    for choice in choices { coActivation[Int(earlier) * experts + Int(choice)] += 1 }
                }
                path[row] += choices
                for (place, choice) in choices.enumerated() {
                    for other in choices.prefix(place) {
                        gatePairs[Int(min(choice, other)) * experts + Int(max(choice, other))] += 1
                    }
                }
            }
            gates[gate].add(decision, capacityFactor: configuration.trainingCapacityFactor)
        }
    }

    /// Sums every count over ranks.
    mutating func sum(_ reduce: (inout [Int64]) throws -> Void) rethrows {
        try reduce(&strataPassed)
        try reduce(&coActivation)
        try reduce(&gatePairs)
        for gate in gates.indices {
            try reduce(&gates[gate].tokens)
            try reduce(&gates[gate].first)
            try reduce(&gates[gate].second)
            try reduce(&gates[gate].confidence)
            try reduce(&gates[gate].dropped)
            try reduce(&gates[gate].entropy)
        }
    }
}

extension BlockTally.Gate {
    var choices: Int64 { first.reduce(0, +) + second.reduce(0, +) }

    fileprivate mutating func add(_ decision: RoutingDecision, capacityFactor: Float?) {
        tokens[0] += Int64(decision.tokens)
        var load = [Int](repeating: 0, count: first.count)
        for (choice, expert) in decision.experts.enumerated() {
            load[Int(expert)] += 1
            let isFirst = choice == Int(decision.offsets[Int(decision.choiceTokens[choice])])
            guard isFirst else {
                second[Int(expert)] += 1
                continue
            }
            first[Int(expert)] += 1
            let token = Int(decision.choiceTokens[choice]),
                p = Double(decision.gate.shares[token, Int(expert) - decision.visible.lowerBound])
            confidence[Int(expert)] += Int64(Int(clamped: (p / BlockTally.probabilityUnit).rounded()))
        }
        // Which choices go first does not change how many are dropped.
        let visible = decision.visible
        if let limit = ExpertCapacity.limit(tokens: decision.tokens, visible: visible.count, factor: capacityFactor) {
            dropped[0] += Int64(load[visible].reduce(0) { $0 + max(0, $1 - limit) })
        }
        for token in 0..<decision.tokens {
            var nats = 0.0
            for expert in 0..<decision.visible.count {
                let p = Double(decision.gate.shares[token, expert])
                if p > 0 { nats -= p * log(p) }
            }
            entropy[0] += Int64(Int(clamped: (nats / BlockTally.entropyUnit).rounded()))
        }
    }
}
