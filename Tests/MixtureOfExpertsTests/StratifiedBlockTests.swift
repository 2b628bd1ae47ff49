import Autograd
import Collectives
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import _TestSupport

@Suite struct StratifiedBlockTests {
    private static func configuration(_ strata: [Int], k: Int = 2, capacity: Float? = nil) -> MixtureConfiguration {
        var configuration = MixtureConfiguration(strata: strata)
        configuration.topK = k
        configuration.capacityFactor = capacity
        configuration.auxiliaryLossWeight = 1
        return configuration
    }

    /// What the experts added: output − x.
    private static func contribution(_ outcome: StratifiedBlock.Outcome, _ x: Tensor) -> [Float] {
        zip(outcome.output.value.buffer, x.buffer).map { $0 - $1 }
    }

    // MARK: strata

    @Test func tokensMoveOnByTheirFirstChoice() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([2, 2, 2]), group: communicator)
            let outcome = try tiny.forward(tiny.tokens(40, seed: 1))
            var stratum = [Int](repeating: 0, count: 40), visits = [UInt8](repeating: 0, count: 40)
            for gate in 0..<3 {
                let here = stratum.indices.filter { stratum[$0] == gate }
                let decision = outcome.decisions[gate]
                #expect(decision.tokens == here.count)
                #expect(decision.visible == 2 * gate..<6)
                for (index, token) in here.enumerated() {
                    visits[token] += 1
                    stratum[token] = decision.firstChoice(index) / 2 + 1
                }
            }
            #expect(stratum.allSatisfy { $0 == 3 })
            #expect(outcome.visits == visits)
            #expect(Set(visits).count > 1, "tokens must differ in what they ask for")
            let mean = outcome.decisions.reduce(0) { $0 + $1.loadBalancingLoss } / 3
            try expectClose([outcome.loadBalancingLoss], [mean], tolerance: 1e-6, "load-balancing loss")
            #expect(outcome.statistics.tokens == 40)
            #expect(outcome.statistics.rounds == visits.reduce(0) { $0 + Int($1) })
            #expect(outcome.statistics.choices == outcome.decisions.reduce(0) { $0 + $1.experts.count })
            #expect(outcome.statistics.load.map { $0.reduce(0, +) } == outcome.decisions.map { $0.kept.count { $0 } })
        }
    }

    @Test func allStrataOneAfterAnother() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([2, 2, 2]), group: communicator)
            // A gate's first visible expert is of its own stratum.
            for stratum in 0..<3 { tiny.force(gate: stratum, to: 0) }
            #expect(try tiny.forward(tiny.tokens(5, seed: 1)).visits == [3, 3, 3, 3, 3])
        }
    }

    /// All tokens of all ranks leave from the first stratum.
    @Test(arguments: [1, 2]) func strataThatNobodyReaches(ranks: Int) throws {
        _ = try SimulatedCluster.run(ranks: ranks) { communicator in
            let tiny = try TinyBlock(Self.configuration([2, 2, 2]), group: communicator)
            tiny.force(gate: 0, to: 5)
            let x = tiny.tokens(6, seed: UInt64(communicator.rank)), dy = tiny.tokens(6, seed: 9)
            let result = try tiny.train(x, doutput: dy, lossScale: 1)
            #expect(result.visits == [1, 1, 1, 1, 1, 1])
            let first = try tiny.forward(x).decisions[0].loadBalancingLoss
            try expectClose([result.loss], [first / 3], tolerance: 1e-6, "the mean is over all gates")
            let gradients = try tiny.store.gradients()
            for stratum in 1...2 {
                for part in ["gates.\(stratum).weight", "norms.\(stratum).weight", "norms.\(stratum).bias"] {
                    #expect(gradients["block.\(part)"]!.allSatisfy { $0 == 0 }, "\(part)")
                }
            }
            #expect(gradients["block.gates.0.weight"]!.contains { $0 != 0 })
        }
    }

    @Test(arguments: [1, 2]) func noTokensAnywhere(ranks: Int) throws {
        _ = try SimulatedCluster.run(ranks: ranks) { communicator in
            let tiny = try TinyBlock(Self.configuration([2, 3], capacity: 2), group: communicator, dropout: 0.1)
            let nothing = tiny.tokens(0, seed: 1)
            let result = try tiny.train(nothing, doutput: nothing, lossScale: 1)
            #expect(result.output.isEmpty && result.dx.isEmpty && result.visits.isEmpty)
            #expect(result.loss == 0)
            #expect(try tiny.store.gradients().values.allSatisfy { $0.allSatisfy { $0 == 0 } })
        }
    }

    @Test func aTokenWithEveryChoiceDroppedKeepsItsValue() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([3], k: 1, capacity: 0.5), group: communicator)
            let x = tiny.tokens(12, seed: 3)
            let outcome = try tiny.forward(x)
            let kept = outcome.decisions[0].kept
            #expect(kept.contains(false) && kept.contains(true))
            for token in 0..<12 {
                let same = outcome.output.value.rows(token..<token + 1).elements == x.rows(token..<token + 1).elements
                #expect(same == !kept[token], "token \(token)")
            }
        }
    }

    // MARK: training and evaluation

    @Test func evaluationIsDropless() throws {
        try alone { communicator in
            var configuration = Self.configuration([2, 2], capacity: 0.5)
            let x = { (tiny: TinyBlock) in tiny.tokens(30, seed: 4) }
            let tiny = try TinyBlock(configuration, group: communicator)
            #expect(try tiny.forward(x(tiny), training: true).statistics.dropped > 0)
            #expect(try tiny.forward(x(tiny), training: false).statistics.dropped == 0)
            configuration.evaluationCapacityFactor = 0.5
            let limited = try TinyBlock(configuration, group: communicator)
            #expect(try limited.forward(x(limited), training: false).statistics.dropped > 0)
        }
    }

    @Test func evaluationKnowsNoKey() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([2, 2]), group: communicator, dropout: 0.4)
            let x = tiny.tokens(10, seed: 4)
            func output(_ training: Bool, _ seed: UInt64) throws -> [Float] {
                try tiny.forward(x, training: training, key: RandomKey(seed: seed)).output.value.elements
            }
            #expect(try output(false, 1) == output(false, 2))
            #expect(try output(true, 1) == output(true, 1))
            #expect(try output(true, 1) != output(true, 2))
        }
    }

    @Test(arguments: [1, 2]) func maskingScalesEvaluation(k: Int) throws {
        try alone { communicator in
            var configuration = Self.configuration([3], k: k)
            let x = { (tiny: TinyBlock) in tiny.tokens(10, seed: 4) }
            let whole = try TinyBlock(configuration, group: communicator)
            let unmasked = Self.contribution(try whole.forward(x(whole), training: false), x(whole))
            configuration.expertOutputMasking = 0.25
            let tiny = try TinyBlock(configuration, group: communicator)
            let outcome = try tiny.forward(x(tiny), training: false)
            try expectClose(
                Self.contribution(outcome, x(tiny)), unmasked.map { $0 * 0.75 }, tolerance: 1e-6, "contribution")
            // The gate's own weights are what they are.
            try expectClose(
                outcome.decisions[0].weights, whole.forward(x(whole), training: false).decisions[0].weights,
                tolerance: 0, "weights")
        }
    }

    @Test func maskingZeroesWholeOutputsInTraining() throws {
        try alone { communicator in
            var configuration = Self.configuration([4], k: 1)
            let count = 2000, x = { (tiny: TinyBlock) in tiny.tokens(count, seed: 4) }
            let whole = try TinyBlock(configuration, group: communicator)
            let unmasked = try whole.forward(x(whole)).output.value
            configuration.expertOutputMasking = 0.3
            let tiny = try TinyBlock(configuration, group: communicator)
            let input = x(tiny), outcome = try tiny.forward(input)
            var masked = 0
            for token in 0..<count {
                let row = outcome.output.value.rows(token..<token + 1).elements
                if row == input.rows(token..<token + 1).elements {
                    masked += 1
                } else {
                    #expect(row == unmasked.rows(token..<token + 1).elements, "what is not masked is not scaled")
                }
            }
            // Five standard deviations.
            #expect(abs(Double(masked) / Double(count) - 0.3) < 5 * (0.3 * 0.7 / Double(count)).squareRoot())
        }
    }

    @Test func dropoutIsOnExpertOutputs() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([4], k: 1), group: communicator, dropout: 0.5)
            let whole = try TinyBlock(Self.configuration([4], k: 1), group: communicator)
            let count = 500, x = tiny.tokens(count, seed: 4)
            let dropped = Self.contribution(try tiny.forward(x), x), kept = Self.contribution(try whole.forward(x), x)
            var zeros = 0
            for (d, k) in zip(dropped, kept) {
                if d == 0 { zeros += 1 } else { #expect(abs(d - 2 * k) < 1e-5) }
            }
            let elements = Double(dropped.count)
            #expect(abs(Double(zeros) / elements - 0.5) < 5 * (0.25 / elements).squareRoot())
        }
    }

    // MARK: several ranks

    struct World: Sendable, CustomTestStringConvertible {
        let ranks: Int
        let strata: [Int]
        let expertParallel: Int?
        var testDescription: String { "\(ranks) ranks, strata \(strata), expert-parallel \(expertParallel ?? 0)" }
    }

    static let worlds = [
        World(ranks: 2, strata: [3, 4], expertParallel: nil), World(ranks: 3, strata: [3, 4], expertParallel: nil),
        // Two groups of two: replicas.
        World(ranks: 4, strata: [3, 4], expertParallel: nil), World(ranks: 4, strata: [2, 3, 2], expertParallel: 2),
        World(ranks: 4, strata: [5, 4], expertParallel: 4), World(ranks: 3, strata: [4], expertParallel: 1),
    ]

    /// Token group g on rank g gives what one rank gets from all groups, dropout, sampling and masking included.
    @Test(arguments: worlds, [1, 2]) func manyRanksAreOne(world: World, k: Int) throws {
        for capacity in [nil, 1] as [Float?] {
            var configuration = Self.configuration(world.strata, k: k, capacity: capacity)
            configuration.expertOutputMasking = 0.1
            try Self.compare(configuration, world)
            configuration.conditionalRouting = ConditionalRouting()
            try Self.compare(configuration, world)
            configuration.stacked = true
            try Self.compare(configuration, world)
        }
    }

    /// Gating dropout leaves groups 0 and 3 out, and keeps group 2.
    @Test(arguments: RoutingVariant.all + [.gatingDropout(0.75)], [worlds[1], worlds[3]])
    func manyRanksAreOne(variant: RoutingVariant, world: World) throws {
        try Self.compare(variant.configuration(strata: world.strata), world)
    }

    /// Sizes of the token groups: group 1 is empty.
    private static let groupSizes = [17, 0, 5, 11]

    private static func train(_ tiny: TinyBlock, group: Int) throws -> TinyBlock.Result {
        let x = tiny.tokens(groupSizes[group], seed: UInt64(100 + group))
        let dy = tiny.tokens(groupSizes[group], seed: UInt64(200 + group))
        return try tiny.train(x, doutput: dy, lossScale: 0.3, key: RandomKey(seed: 7).derived(group))
    }

    private static func compare(_ configuration: MixtureConfiguration, _ world: World) throws {
        let expected = try alone { communicator in
            let tiny = try TinyBlock(configuration, group: communicator, dropout: 0.2)
            let results = try (0..<world.ranks).map { try train(tiny, group: $0) }
            return (results: results, gradients: try tiny.store.gradients())
        }
        if configuration.gatingDropout > 0 {
            let entered = zip(expected.results, groupSizes).filter { $1 > 0 }.map { $0.0.statistics.tokens > 0 }
            try #require(entered.contains(true) && entered.contains(false), "groups that are left out beside one that is not")
        }
        _ = try SimulatedCluster.run(ranks: world.ranks) { communicator in
            let layout = try ParallelLayout(
                ranks: communicator.size, expertParallel: world.expertParallel, strata: world.strata)
            let rank = communicator.rank
            let group = try communicator.split(color: layout.replica(ofRank: rank), key: rank)
            let replicas = try communicator.split(color: layout.place(ofRank: rank), key: rank)
            let tiny = try TinyBlock(configuration, group: group, dropout: 0.2)
            let result = try train(tiny, group: rank)
            #expect(result.visits == expected.results[rank].visits)
            #expect(result.statistics == expected.results[rank].statistics)
            try expectClose(result.output, expected.results[rank].output, tolerance: 1e-6, "output of group \(rank)")
            try expectClose([result.loss], [expected.results[rank].loss], tolerance: 1e-6, "loss of group \(rank)")
            try expectClose(result.dx, expected.results[rank].dx, tolerance: 3e-6, "dx of group \(rank)")
            try communicator.allReduce(tiny.store.section(.replicated).gradients.buffer, .sum)
            try replicas.allReduce(tiny.store.section(.expert).gradients.buffer, .sum)
            for (name, gradient) in try tiny.store.gradients() {
                try expectClose(gradient, expected.gradients[name]!, tolerance: 1e-5, floor: 0.1, name)
            }
        }
    }
}
