import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// Masking of whole expert outputs.
@Suite(.hangLimit) struct ExpertOutputMaskingTests {
    private static func configuration(
        _ strata: [Int] = [2, 3], probability: Float, k: Int = 2, capacity: Float? = 1, order: StrataOrder = .stratified
    ) -> MixtureConfiguration {
        var configuration = testedMixture(strata, capacity: capacity)
        configuration.topK = k
        configuration[TestOrder.self] = TestOrder(order)
        configuration[ExpertOutputMasking.self].probability = probability
        return configuration
    }

    /// What the experts added: output − x.
    private static func contribution(_ outcome: TinyBlock.Outcome, _ x: Tensor) -> [Float] {
        zip(outcome.output.value.buffer, x.buffer).map { $0 - $1 }
    }

    @Test(arguments: [1, 2, 3]) func maskingScalesEvaluation(k: Int) throws {
        try alone { communicator in
            func outcome(_ probability: Float) throws -> (outcome: TinyBlock.Outcome, x: Tensor) {
                let tiny = try TinyBlock(
                    Self.configuration([3], probability: probability, k: k, capacity: nil), group: communicator)
                let x = tiny.tokens(10, seed: 4)
                return (try tiny.forward(x, training: false), x)
            }
            let (whole, x) = try outcome(0), (masked, _) = try outcome(0.25)
            try expectClose(
                Self.contribution(masked, x), Self.contribution(whole, x).map { $0 * 0.75 }, tolerance: 1e-6, "contribution")
            // The gate's own weights are what they are.
            try expectClose(masked.decisions[0].weights, whole.decisions[0].weights, tolerance: 0, "weights")
        }
    }

    /// What scaling by 1 − probability means: every expert's output, in every stratum, is that much smaller.
    @Test(arguments: [StrataOrder.stratified, .stacked]) func maskingScalesEveryExpertInEvaluation(order: StrataOrder) throws {
        try alone { communicator in
            let scaled = try TinyBlock(
                Self.configuration(probability: 0, capacity: nil, order: order), group: communicator)
            try scaled.store.forEachSlice { name, _, values, _ in
                guard name.contains(".experts."), name.contains(".fc2.") else { return }
                for index in values.indices { values[index] *= 0.75 }
            }
            let masked = try TinyBlock(
                Self.configuration(probability: 0.25, capacity: nil, order: order), group: communicator)
            let x = masked.tokens(30, seed: 1)
            try expectClose(
                try masked.forward(x, training: false).elements, scaled.forward(x, training: false).elements,
                tolerance: 1e-6, "output")
        }
    }

    @Test func maskingZeroesWholeOutputsInTraining() throws {
        try alone { communicator in
            let count = 2000
            let whole = try TinyBlock(Self.configuration([4], probability: 0, k: 1, capacity: nil), group: communicator)
            let tiny = try TinyBlock(Self.configuration([4], probability: 0.3, k: 1, capacity: nil), group: communicator)
            let x = tiny.tokens(count, seed: 4), unmasked = try whole.forward(x), outcome = try tiny.forward(x)
            var masked = 0
            for token in 0..<count {
                if outcome.row(token) == x.rows(token..<token + 1).elements {
                    masked += 1
                } else {
                    #expect(outcome.row(token) == unmasked.row(token), "what is not masked is not scaled")
                }
            }
            #expect(abs(Double(masked) / Double(count) - 0.3) < deviationBound(0.3, count))
        }
    }

    /// Each choice has a draw of its own, of its token and expert: whatever stands beside it in a list.
    @Test func drawsAreOfTokenAndExpert() throws {
        let token: [Float] = [0.4, 0.3, 0.2, 0.1],
            masking = Self.configuration([4], probability: 0.4, k: 4)[
                ExpertOutputMasking.self]
        func factors(_ k: Int, rows: [Int32]) throws -> [[Int32]: Float] {
            // In evaluation's order, which is the best first; but the draws of training.
            var configuration = MixtureConfiguration(strata: [4], methods: [BestChoice()])
            (configuration.topK, configuration.capacityFactor) = (k, nil)
            let decision = route(rows.map { _ in token }, configuration, rows: rows)
            let factors = try #require(masking.factors(decision))
            return Dictionary(
                uniqueKeysWithValues: factors.indices.map {
                    ([rows[Int(decision.choiceTokens[$0])], decision.experts[$0]], factors[$0])
                })
        }
        let all = try factors(4, rows: (0..<500).map { Int32($0) })
        for (choice, factor) in try factors(2, rows: [3, 77, 400]) { #expect(all[choice] == factor) }
        for expert in 0..<4 as Range<Int32> {
            let share = Double(all.count { $0.key[1] == expert && $0.value == 0 }) / 500
            #expect(abs(share - 0.4) < deviationBound(0.4, 500), "expert \(expert)")
        }
        #expect(Set(all.values) == [0, 1])
    }

    @Test func evaluationKnowsNoCompany() throws {
        try expectEvaluationKnowsNoCompany(Self.configuration(probability: 0.3))
    }

    @Test(arguments: [1, 2, 3], GateNormalization.allCases)
    func gradientsAgreeWithDifferences(k: Int, normalization: GateNormalization) throws {
        var configuration = Self.configuration([2, 2], probability: 0.3, k: k)
        configuration.gateNormalization = normalization
        try BlockGradients.check(configuration, dropout: 0.25, "k \(k), \(normalization)")
    }

    @Test(arguments: BlockWorld.all, [1, 2]) func manyRanksAreOne(world: BlockWorld, k: Int) throws {
        for capacity in [nil, 1] as [Float?] {
            for order in [StrataOrder.stratified, .stacked] {
                try world.expectOneRank(
                    Self.configuration(world.strata, probability: 0.1, k: k, capacity: capacity, order: order))
            }
        }
    }

    /// A probability below that of the smallest draw changes nothing.
    @Test(arguments: OracleFiles.names("block_"), [1, 3]) func theOracleHolds(name: String, ranks: Int) throws {
        var block = try OracleBlock(name)
        block.configuration[ExpertOutputMasking.self].probability = 1e-9
        for distribution in OracleBlock.Distribution.allCases { try block.check(ranks: ranks, distribution) }
    }

    @Test func keys() throws {
        let unused = MixtureConfiguration(strata: [4])
        #expect(unused.additions == [] && unused[ExpertOutputMasking.self].probability == 0)
        let read = try WrittenMixture.read(#"{"strata": [4], "expert_output_masking": 0.25}"#)
        #expect(read[ExpertOutputMasking.self].probability == 0.25 && read.additions == ["EOM"])
        #expect(try WrittenMixture.isReadAgain(read))
        #expect(
            WrittenMixture.problem(#"{"strata": [4], "expert_output_masking": 1}"#).contains(
                "moe.expert_output_masking must be a number from 0 up to, not including, 1, but is 1"))
    }
}
