import Foundation
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing

@testable import Evaluation

/// One block's counts against routing that was written down by hand.
@Suite struct BlockTallyTests {
    /// By the rules of evaluation.
    static func decision(
        _ probabilities: [[Float]], atStratum stratum: Int, of configuration: MixtureConfiguration
    ) -> RoutingDecision {
        let context = ComputeContext(threads: 1)
        let logits = context.tensor(
            probabilities.flatMap { $0.map(log) }, rows: probabilities.count, columns: probabilities[0].count)
        let gate = GateSite(name: "gate", configuration: configuration, stratum: stratum, dim: 1)
        return StratifiedRouter(gate).route(
            context, logits: logits, rows: probabilities.indices.map(Int32.init), key: RandomKey(seed: 0), isTraining: false)
    }

    static func entropy(_ probabilities: [Float]) -> Double { probabilities.reduce(0) { $0 - Double($1) * log(Double($1)) } }

    /// Strata {0, 1} and {2, 3}; tokens 5, 6, 5, 7. The first choices of 5 and of 7 are in the first stratum.
    private static let atFirst: [[Float]] = [
        [0.6, 0.3, 0.06, 0.04],  // 0, then 1
        [0.1, 0.2, 0.3, 0.4],  // 3, then 2
        [0.5, 0.05, 0.15, 0.3],  // 0, then 3
        [0.7, 0.15, 0.1, 0.05],  // 0, then 1
    ]
    private static let atSecond: [[Float]] = [[0.9, 0.1], [0.2, 0.8], [0.75, 0.25]]

    private static func tally(capacityFactor: Float?) -> BlockTally {
        var configuration = MixtureConfiguration(strata: [2, 2])
        configuration.capacityFactor = capacityFactor
        var tally = BlockTally(configuration, vocabulary: 8)
        tally.add(tokens: [5, 6, 5, 7], decisions: decisions(configuration))
        return tally
    }

    private static func decisions(_ configuration: MixtureConfiguration) -> [RoutingDecision] {
        [
            decision(atFirst, atStratum: 0, of: configuration), decision(atSecond, atStratum: 1, of: configuration),
        ]
    }

    @Test func countsWhatTheGatesChose() {
        let tally = Self.tally(capacityFactor: nil)
        #expect(tally.strataPassed == [0, 0, 0, 0, 0, 4, 1, 2])
        #expect(tally.gates.map(\.tokens) == [[4], [3]])
        #expect(tally.gates.map(\.first) == [[3, 0, 0, 1], [0, 0, 2, 1]])
        #expect(tally.gates.map(\.second) == [[0, 2, 1, 1], [0, 0, 1, 2]])
        #expect(tally.gates.map(\.choices) == [8, 6])
        #expect(tally.gates.map(\.dropped) == [[0], [0]], "without a capacity nothing drops")
    }

    /// The first 5 went to 0 and 1, then to 2 and 3; the second 5 to 0 and 3, then to 3 and 2; 7 to 0 and 1, then to 2 and 3.
    @Test func countsWhichExpertsSeeTheSameTokens() {
        #expect(
            Self.tally(capacityFactor: nil).coActivation == [
                0, 0, 3, 3,
                0, 0, 2, 2,
                0, 0, 0, 0,
                0, 0, 1, 1,
            ])
        // At the first gate 6 went to 3 and 2.
        #expect(
            Self.tally(capacityFactor: nil).gatePairs == [
                0, 2, 0, 1,
                0, 0, 0, 0,
                0, 0, 0, 1 + 3,
                0, 0, 0, 0,
            ])
    }

    /// Factor 1: at the first gate each of 4 experts takes 1 of 4 tokens, at the second each of 2 takes 2 of 3.
    @Test func countsWhatTheTrainingCapacityWouldDrop() {
        let gates = Self.tally(capacityFactor: 1).gates
        // Expert 0 is three first choices; 1 two second choices; 3 a first and, after it, a second one.
        #expect(gates[0].dropped == [2 + 1 + 1])
        // 2 and 3 are three choices each.
        #expect(gates[1].dropped == [1 + 1])
    }

    /// Stacked mixtures see their own stratum alone, and all tokens pass both.
    @Test func stackedMixtures() {
        var configuration = MixtureConfiguration(strata: [2, 2])
        configuration[Stacking.self].isStacked = true
        var tally = BlockTally(configuration, vocabulary: 3)
        tally.add(
            tokens: [1, 2],
            decisions: [
                Self.decision([[0.9, 0.1], [0.2, 0.8]], atStratum: 0, of: configuration),
                Self.decision([[0.4, 0.6], [0.3, 0.7]], atStratum: 1, of: configuration),
            ])
        #expect(tally.strataPassed == [0, 2, 2] && tally.gates.map(\.visible) == [0..<2, 2..<4])
        #expect(tally.gates.map(\.first) == [[1, 1, 0, 0], [0, 0, 0, 2]])
        #expect(tally.coActivation == [0, 0, 2, 2, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0])
    }

    /// Three choices of a token at the first gate, and both experts of the second: all but the first are further ones.
    @Test func allFurtherChoicesAreCountedTogether() {
        var configuration = MixtureConfiguration(strata: [2, 2])
        (configuration.topK, configuration.capacityFactor) = (3, 1)
        var tally = BlockTally(configuration, vocabulary: 8)
        tally.add(tokens: [5, 6, 5, 7], decisions: Self.decisions(configuration))
        // 0, 1, 2; 3, 2, 1; 0, 3, 2; 0, 1, 2.
        #expect(tally.gates.map(\.first) == [[3, 0, 0, 1], [0, 0, 2, 1]])
        #expect(tally.gates.map(\.second) == [[0, 3, 4, 1], [0, 0, 1, 2]])
        #expect(tally.gates.map(\.choices) == [12, 6])
        #expect(tally.gates[0].dropped == [2 + 2 + 3 + 1])
        #expect(Array(tally.coActivation[..<4]) == [0, 0, 3, 3] && Array(tally.coActivation[8..<12]) == [0, 0, 3, 3])
        #expect(tally.gatePairs == [0, 2, 3, 1, 0, 0, 3, 1, 0, 0, 0, 2 + 3, 0, 0, 0, 0])
    }

    @Test func sumsEntropy() {
        for (gate, probabilities) in zip(Self.tally(capacityFactor: nil).gates, [Self.atFirst, Self.atSecond]) {
            let expected = probabilities.reduce(0) { $0 + Self.entropy($1) }
            #expect(abs(Double(gate.entropy[0]) * BlockTally.entropyUnit - expected) < 1e-5)
        }
    }

    @Test func ranksAddUp() {
        var tally = Self.tally(capacityFactor: 1)
        let one = tally
        tally.add(tokens: [5, 6, 5, 7], decisions: Self.decisions(MixtureConfiguration(strata: [2, 2])))
        var sum = one
        sum.sum { for index in $0.indices { $0[index] *= 2 } }
        #expect(tally == sum)
    }
}
