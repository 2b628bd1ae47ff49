import Autograd
import Collectives
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import _TestSupport

@Suite(.hangLimit) struct StratifiedBlockTests {
    private static func configuration(
        _ strata: [Int], _ rule: any MixtureMethod = BestChoice(), k: Int = 2, capacity: Float? = nil
    ) -> MixtureConfiguration {
        var configuration = MixtureConfiguration(strata: strata, methods: [rule, TestBalance()])
        configuration.topK = k
        configuration.capacityFactor = capacity
        return configuration
    }

    /// What the experts added: output − x.
    private static func contribution(_ outcome: TinyBlock.Outcome, _ x: Tensor) -> [Float] {
        zip(outcome.output.value.buffer, x.buffer).map { $0 - $1 }
    }

    // MARK: strata

    @Test func tokensMoveOnByTheirLeadingExpert() throws {
        for rule in [BestChoice(), RaggedChoice()] as [any MixtureMethod] {
            try alone { communicator in
                let tiny = try TinyBlock(Self.configuration([2, 2, 2], rule), group: communicator)
                let outcome = try tiny.forward(tiny.tokens(40, seed: 1))
                var stratum = [Int](repeating: 0, count: 40), visits = [Int](repeating: 0, count: 40)
                for gate in 0..<3 {
                    let here = stratum.indices.filter { stratum[$0] == gate }
                    let decision = outcome.decisions[gate]
                    #expect(decision.tokens == here.count)
                    #expect(decision.gate.rows == here.map { Int32($0) })
                    #expect(decision.visible == 2 * gate..<6)
                    for (index, token) in here.enumerated() {
                        visits[token] += 1
                        stratum[token] = Int(decision.leading[index]) / 2 + 1
                    }
                }
                #expect(stratum.allSatisfy { $0 == 3 })
                #expect(outcome.visits == visits)
                #expect(Set(visits).count > 1, "tokens must differ in what they ask for")
                let mean = outcome.decisions.reduce(0) { $0 + TestBalance().value($1) } / 3
                try expectClose([outcome["test_balance"]!], [mean], tolerance: 1e-6, "loss")
                #expect(outcome.statistics.tokens == 40)
                #expect(outcome.statistics.strataPassed == visits.reduce(0, +))
                #expect(outcome.statistics.choices == outcome.decisions.reduce(0) { $0 + $1.experts.count })
                #expect(outcome.statistics.load.map { $0.reduce(0, +) } == outcome.decisions.map { $0.kept.count { $0 } })
            }
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

    /// What a method says of gates' decisions, by the tokens at each.
    @Test func methodsHaveFigures() throws {
        try alone { communicator in
            var configuration = Self.configuration([2, 2, 2], RaggedChoice())
            configuration[ChoicesFigure.self].isOn = true
            let outcome = try TinyBlock(configuration, group: communicator).forward(
                TinyBlock(configuration, group: communicator).tokens(40, seed: 1))
            let mean = Float(outcome.statistics.choices) / Float(outcome.statistics.strataPassed)
            try expectClose([outcome["test_choices"]!], [mean], tolerance: 1e-6, "figure")
        }
    }

    @Test func stackedStrataAreAllPassed() throws {
        try alone { communicator in
            var configuration = Self.configuration([2, 3])
            configuration[TestOrder.self] = TestOrder(.stacked)
            let tiny = try TinyBlock(configuration, group: communicator)
            #expect(tiny.block.norms.count == 1 && tiny.block.gates.map(\.rows) == [2, 3])
            let outcome = try tiny.forward(tiny.tokens(12, seed: 1))
            #expect(outcome.visits == [Int](repeating: 2, count: 12) && outcome.statistics.strataPassed == 24)
            #expect(outcome.decisions.map(\.visible) == [0..<2, 2..<5])
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
            let first = TestBalance().value(try tiny.forward(x).decisions[0])
            try expectClose([result["test_balance"]!], [first / 3], tolerance: 1e-6, "the mean is over all gates")
            let gradients = try tiny.store.gradients()
            for stratum in 1...2 {
                for part in ["gates.\(stratum).weight", "norms.\(stratum).weight", "norms.\(stratum).bias"] {
                    #expect(gradients["block.\(part)"]!.allSatisfy { $0 == 0 }, "\(part)")
                }
            }
            #expect(gradients["block.gates.0.weight"]!.contains { $0 != 0 })
        }
    }

    @Test(arguments: [1, 2], [StrataOrder.stratified, .stacked]) func noTokensAnywhere(ranks: Int, order: StrataOrder) throws {
        _ = try SimulatedCluster.run(ranks: ranks) { communicator in
            var configuration = Self.configuration([2, 3], capacity: 2)
            configuration[TestOrder.self] = TestOrder(order)
            let tiny = try TinyBlock(configuration, group: communicator, dropout: 0.1)
            let nothing = tiny.tokens(0, seed: 1)
            let result = try tiny.train(nothing, doutput: nothing, lossScale: 1)
            #expect(result.output.isEmpty && result.dx.isEmpty && result.visits.isEmpty)
            #expect(result.figures == [BlockFigure("test_balance", 0, weight: 2)])
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
                #expect((outcome.row(token) == x.rows(token..<token + 1).elements) == !kept[token], "token \(token)")
            }
        }
    }

    /// Tokens without a choice, among others with several.
    @Test func aTokenWithoutChoicesKeepsItsValue() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([4], RaggedChoice(), k: 3), group: communicator)
            let x = tiny.tokens(30, seed: 3), outcome = try tiny.forward(x), decision = outcome.decisions[0]
            #expect(Set((0..<30).map { decision.choices(ofToken: $0).count }) == [0, 1, 2, 3])
            for token in 0..<30 {
                let isSame = outcome.row(token) == x.rows(token..<token + 1).elements
                #expect(isSame == decision.choices(ofToken: token).isEmpty, "token \(token)")
            }
        }
    }

    // MARK: what methods give the block

    /// What each choice is multiplied by: 0.5 of even experts, another's of 3.
    private struct Halving: OutputMasking {
        func factors(_ decision: RoutingDecision) -> [Float]? { decision.experts.map { $0 % 2 == 0 ? 0.5 : 1 } }
    }

    private struct Tripling: OutputMasking {
        var isOn = true
        func factors(_ decision: RoutingDecision) -> [Float]? { isOn ? decision.experts.map { _ in 3 } : nil }
    }

    @Test func maskingsMultiply() throws {
        try alone { communicator in
            let plain = try TinyBlock(Self.configuration([4], k: 1), group: communicator)
            let x = plain.tokens(20, seed: 3), outcome = try plain.forward(x), decision = outcome.decisions[0]
            var configuration = Self.configuration([4], k: 1)
            configuration[Halving.self] = Halving()
            configuration[Tripling.self] = Tripling()
            let both = try TinyBlock(configuration, group: communicator).forward(x)
            configuration[Tripling.self].isOn = false
            let one = try TinyBlock(configuration, group: communicator).forward(x)
            func scaled(_ factors: (even: Float, odd: Float)) -> [Float] {
                Self.contribution(outcome, x).enumerated().map {
                    $1 * (decision.experts[$0 / TinyBlock.dim] % 2 == 0 ? factors.even : factors.odd)
                }
            }
            #expect(Set(decision.experts.map { $0 % 2 }).count == 2)
            try expectClose(Self.contribution(both, x), scaled((1.5, 3)), tolerance: 1e-5, "two maskings")
            try expectClose(Self.contribution(one, x), scaled((0.5, 1)), tolerance: 1e-5, "one masking")
            try expectClose(both.decisions[0].weights, decision.weights, tolerance: 0, "weights are what they are")
        }
    }

    @Test func expertsMayBeAMethods() throws {
        try alone { communicator in
            var configuration = Self.configuration([2, 3])
            configuration[UnequalExperts.self] = UnequalExperts(step: 3)
            let tiny = try TinyBlock(configuration, group: communicator)
            #expect(tiny.block.experts.experts.map(\.hiddenWidth) == [6, 9, 12, 15, 18])
            #expect(try tiny.store.gradients()["block.experts.4.fc1.bias"]?.count == 18)
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
                try tiny.forward(x, training: training, key: RandomKey(seed: seed)).elements
            }
            #expect(try output(false, 1) == output(false, 2))
            #expect(try output(true, 1) == output(true, 1))
            #expect(try output(true, 1) != output(true, 2))
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

    @Test func reportsAreForThoseWhoReadThem() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([2, 2]), group: communicator), x = tiny.tokens(10, seed: 4)
            func run(_ reports: PassReports?, keeping keepsDecisions: Bool) throws -> [Float] {
                var pass = ForwardPass(
                    tape: Tape(tiny.context, recording: false), isTraining: true, key: RandomKey(seed: 5), reporting: reports)
                pass.keepsDecisions = keepsDecisions
                return try tiny.block(Variable(x), pass).value.elements
            }
            let reports = PassReports(), silent = try run(nil, keeping: true)
            #expect(try run(reports, keeping: false) == silent)
            #expect(try run(reports, keeping: true) == silent)
            let blocks = reports.all(of: BlockReport.self)
            #expect(blocks.map(\.decisions.count) == [0, 2])
            #expect(blocks[0].figures == blocks[1].figures && blocks[0].statistics == blocks[1].statistics)
            #expect(blocks[0].statistics.tokens == 10)
        }
    }

    /// A tape that recomputes keeps less, and gives the same.
    @Test(arguments: [StrataOrder.stratified, .stacked]) func recomputationGivesTheSame(order: StrataOrder) throws {
        try alone { communicator in
            var configuration = Self.configuration([2, 3], RaggedChoice(), k: 3, capacity: 1)
            configuration[UnequalExperts.self] = UnequalExperts(step: 2)
            configuration[TestOrder.self] = TestOrder(order)
            func gradients(recomputing: Bool) throws -> ([Float], [String: [Float]]) {
                let tiny = try TinyBlock(configuration, group: communicator, dropout: 0.2),
                    x = Variable(tiny.tokens(20, seed: 1))
                let tape = Tape(tiny.context, recording: true, recomputing: recomputing)
                let dx = tiny.context.zeros(20, TinyBlock.dim)
                x.receive(dx, tiny.context)
                var pass = ForwardPass(tape: tape, isTraining: true, key: RandomKey(seed: 5))
                pass.auxiliaryScale = 0.5
                try tiny.block(x, pass).receive(tiny.tokens(20, seed: 2), tiny.context)
                try tape.backward()
                return (dx.elements, try tiny.store.gradients())
            }
            let kept = try gradients(recomputing: false), recomputed = try gradients(recomputing: true)
            #expect(kept.0 == recomputed.0 && kept.1 == recomputed.1)
        }
    }

    // MARK: several ranks

    /// Token group g on rank g gives what one rank gets from all groups, whatever the choices, the order and the experts' widths.
    @Test(arguments: BlockWorld.all, [1, 2, 3]) func manyRanksAreOne(world: BlockWorld, k: Int) throws {
        for (rule, capacity) in [(BestChoice(), nil), (BestChoice(), 1), (RaggedChoice(), 1)] as [(any MixtureMethod, Float?)] {
            for order in [StrataOrder.stratified, .stacked] {
                for step in [0, 3] {
                    var configuration = Self.configuration(world.strata, rule, k: k, capacity: capacity)
                    configuration[TestOrder.self] = TestOrder(order)
                    configuration[UnequalExperts.self] = UnequalExperts(step: step)
                    try world.expectOneRank(configuration)
                }
            }
        }
    }
}
