import Autograd
import Collectives
import MixtureMethods
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import _TestSupport

/// Conditional routing between the shared network and the experts.
@Suite(.hangLimit) struct ConditionalRoutingTests {
    private static func configuration(
        _ strata: [Int] = [2, 3], budget: Float = 0.8, weight: Float = 0, gateDropout: Float = 0,
        order: StrataOrder = .stratified
    ) -> MixtureConfiguration {
        var configuration = testedMixture(strata, capacity: 2), settings = ConditionalRouting.Settings()
        (settings.budget, settings.weight, settings.gateDropout) = (budget, weight, gateDropout)
        configuration[ConditionalRouting.self].settings = settings
        configuration[TestOrder.self] = TestOrder(order)
        return configuration
    }

    /// A gate of the same value for every token: the sigmoid of `logit`.
    private static func setGate(_ tiny: TinyBlock, logit: Float) throws {
        try tiny.fill("cmr_gate.weight", 0)
        try tiny.fill("cmr_gate.bias", logit)
    }

    /// x + dropout(FFN(LayerNorm(x))) with the block's own first LayerNorm and shared network.
    private static func denseSublayer(_ tiny: TinyBlock, _ x: Tensor) throws -> [Float] {
        let pass = tiny.trainingPass, input = Variable(x)
        return try tiny.twin(of: "block.shared")(
            tiny.block.entryNorm(input, pass), addedTo: input, pass,
            mask: pass.dropout(0.2, purpose: RandomPurpose(number: 7))
        ).value.elements
    }

    @Test(arguments: [[4], [2, 3]], [StrataOrder.stratified, .stacked])
    func anOpenGateIsThePlainBlock(strata: [Int], order: StrataOrder) throws {
        try alone { communicator in
            var configuration = Self.configuration(strata, order: order)
            let conditional = try TinyBlock(configuration, group: communicator, dropout: 0.2)
            try Self.setGate(conditional, logit: 200)
            configuration[ConditionalRouting.self].settings = nil
            let plain = try TinyBlock(configuration, group: communicator, dropout: 0.2)
            let x = plain.tokens(20, seed: 1), dy = plain.tokens(20, seed: 2)
            let expected = try plain.train(x, doutput: dy, lossScale: 1)
            let result = try conditional.train(x, doutput: dy, lossScale: 1)
            try #require(result.output == expected.output)
            try expectClose(result.dx, expected.dx, tolerance: 1e-6, "dx")
            let gradients = try conditional.store.gradients()
            for (name, gradient) in try plain.store.gradients() {
                try expectClose(gradients[name]!, gradient, tolerance: 1e-6, name)
            }
            try #require(gradients["block.shared.fc1.weight"]!.allSatisfy { $0 == 0 })
        }
    }

    @Test(arguments: [[4], [2, 3]]) func aClosedGateIsTheDenseNetwork(strata: [Int]) throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration(strata), group: communicator, dropout: 0.2)
            try Self.setGate(tiny, logit: -200)
            let x = tiny.tokens(20, seed: 1)
            let result = try tiny.train(x, doutput: tiny.tokens(20, seed: 2), lossScale: 0)
            try #require(try result.output == Self.denseSublayer(tiny, x))
            let gradients = try tiny.store.gradients()
            try #require(gradients["block.experts.0.fc1.weight"]!.allSatisfy { $0 == 0 })
            try #require(gradients["block.shared.fc1.weight"]!.contains { $0 != 0 })
        }
    }

    @Test func aGateBetweenMixes() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration(), group: communicator, dropout: 0.2)
            let x = tiny.tokens(20, seed: 1), dense = try Self.denseSublayer(tiny, x)
            try Self.setGate(tiny, logit: 200)
            let mixture = try tiny.forward(x).elements
            // ln 3: a gate of 3 / 4.
            try Self.setGate(tiny, logit: 1.098_612_3)
            try expectClose(
                try tiny.forward(x).elements, zip(dense, mixture).map { 0.25 * $0 + 0.75 * $1 }, tolerance: 1e-6,
                "output")
        }
    }

    /// |g − budget| for gates that are all g; its derivative with respect to the gate's bias is ± g (1 − g).
    @Test(arguments: [(0.8, -1.0), (0.1, 1), (0.5, 0)] as [(budget: Float, sign: Float)])
    func theBudgetLossByHand(_ example: (budget: Float, sign: Float)) throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration(budget: example.budget, weight: 0.25), group: communicator)
            try Self.setGate(tiny, logit: 0)
            let x = tiny.tokens(7, seed: 1)
            try expectClose([try tiny.forward(x)["budget"]!], [abs(0.5 - example.budget)], tolerance: 1e-6, "loss")
            _ = try tiny.train(x, doutput: tiny.context.zeros(7, TinyBlock.dim), lossScale: 3)
            try expectClose(
                try tiny.store.gradients()["block.cmr_gate.bias"]!, [3 * 0.25 * example.sign * 0.25], tolerance: 1e-5, "bias")
        }
    }

    @Test func gateDropoutClosesGatesInTraining() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([4], gateDropout: 0.3), group: communicator)
            try Self.setGate(tiny, logit: 200)
            let count = 2000, x = tiny.tokens(count, seed: 1)
            let whole = try TinyBlock(Self.configuration([4]), group: communicator)
            try Self.setGate(whole, logit: 200)
            let open = try whole.forward(x), outcome = try tiny.forward(x)
            let closed = (0..<count).count { outcome.row($0) != open.row($0) }
            try #require(abs(Double(closed) / Double(count) - 0.3) < deviationBound(0.3, count))
            // The budget counts the gates as they were used.
            try expectClose(
                [outcome["budget"]!], [abs(1 - Float(closed) / Float(count) - 0.8)], tolerance: 1e-5, "budget loss")
            // In evaluation every gate has the mean of training.
            try expectClose(
                [try tiny.forward(x, training: false)["budget"]!], [abs(0.7 - 0.8)], tolerance: 1e-6, "budget loss, evaluation")
            try expectClose(
                [outcome["conditional_gate_mean"]!], [1 - Float(closed) / Float(count)], tolerance: 1e-5, "mean gate")
        }
    }

    @Test func evaluationHasTheMeanGateOfTraining() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration(gateDropout: 0.3), group: communicator)
            let whole = try TinyBlock(Self.configuration(), group: communicator)
            let x = tiny.tokens(20, seed: 1)
            try Self.setGate(whole, logit: 200)
            let mixture = try whole.forward(x, training: false).elements
            try Self.setGate(whole, logit: -200)
            let dense = try whole.forward(x, training: false).elements
            // ln 3: a gate of 3 / 4, times 1 − 0.3.
            try Self.setGate(tiny, logit: 1.098_612_3)
            try expectClose(
                try tiny.forward(x, training: false).elements,
                zip(dense, mixture).map { 0.475 * $0 + 0.525 * $1 }, tolerance: 1e-6, "output")
        }
    }

    @Test(arguments: [1, 2]) func noTokensAnywhere(ranks: Int) throws {
        _ = try SimulatedCluster.run(ranks: ranks) { communicator in
            let tiny = try TinyBlock(Self.configuration(weight: 1, gateDropout: 0.1), group: communicator)
            let nothing = tiny.tokens(0, seed: 1)
            let result = try tiny.train(nothing, doutput: nothing, lossScale: 1)
            let outcome = try tiny.forward(nothing), gradients = try tiny.store.gradients()
            try #require(result.output.isEmpty && outcome["budget"]! == 0)
            try #require(gradients.values.allSatisfy { $0.allSatisfy { $0 == 0 } })
        }
    }

    @Test func keptFloatsAreThoseOfTheNetwork() {
        #expect(ConditionalRouting().keptFloats(dim: 8, hidden: 32) == 0)
        #expect(Self.configuration()[ConditionalRouting.self].keptFloats(dim: 8, hidden: 32) == 48)
    }

    @Test func evaluationKnowsNoCompany() throws {
        try expectEvaluationKnowsNoCompany(Self.configuration(gateDropout: 0.3))
    }

    @Test(arguments: [[3], [2, 3]], [StrataOrder.stratified, .stacked])
    func gradientsAgreeWithDifferences(strata: [Int], order: StrataOrder) throws {
        // The gate's mean is above the one budget and below the other.
        for budget in [0.05, 0.95] as [Float] {
            try BlockGradients.check(
                Self.configuration(strata, budget: budget, weight: 0.7, gateDropout: 0.3, order: order), dropout: 0.2,
                tolerance: 1e-2, figureWeights: ["budget": 0.7], "strata \(strata), \(order), budget \(budget)")
        }
    }

    @Test(arguments: BlockWorld.all, [1, 2]) func manyRanksAreOne(world: BlockWorld, k: Int) throws {
        for capacity in [nil, 1] as [Float?] {
            for order in [StrataOrder.stratified, .stacked] {
                var configuration = Self.configuration(world.strata, weight: 0.01, gateDropout: 0.1, order: order)
                (configuration.topK, configuration.capacityFactor) = (k, capacity)
                try world.expectOneRank(configuration)
            }
        }
    }

    /// A gate that is 1 for every token changes nothing.
    @Test(arguments: OracleFiles.names("block_"), [1, 3]) func theOracleHolds(name: String, ranks: Int) throws {
        var block = try OracleBlock(name)
        block.configuration[ConditionalRouting.self].settings = .init()
        block.configuration[ConditionalRouting.self].settings?.gateDropout = 0
        block.unknown = ["shared.", "cmr_gate."]
        block.prepare = { store in
            try store.forEachSlice { name, _, values, _ in
                if name == "block.cmr_gate.bias" { values.update(repeating: 200) }
            }
        }
        for distribution in OracleBlock.Distribution.allCases { try block.check(ranks: ranks, distribution) }
    }

    @Test func keys() throws {
        let unused = MixtureConfiguration(strata: [4])
        #expect(unused.additions == [] && !WrittenMixture.keys(unused).contains("conditional_routing"))
        let read = try WrittenMixture.read(#"{"strata": [4], "conditional_routing": {"budget": 0.25, "gate_dropout": 0}}"#)
        let settings = try #require(read[ConditionalRouting.self].settings)
        #expect(settings.budget == 0.25 && settings.weight == 0.01 && settings.gateDropout == 0 && read.additions == ["CMR"])
        #expect(try WrittenMixture.isReadAgain(read))
        let plain = try WrittenMixture.read(#"{"strata": [4], "conditional_routing": {}}"#)
        #expect(plain[ConditionalRouting.self].settings == .init())
        for (written, text) in [
            (#"{"budget": 1.1}"#, "moe.conditional_routing.budget must be a number from 0 to 1, but is 1.1"),
            (#"{"weight": -1}"#, "moe.conditional_routing.weight must be a number of at least 0, but is -1"),
            (#"{"gate_dropout": 1}"#, "moe.conditional_routing.gate_dropout must be a number from 0 up to, not including, 1"),
            ("true", "moe.conditional_routing must be a map of the keys budget, weight, gate_dropout, or none, but is true"),
        ] {
            let problem = WrittenMixture.problem(#"{"strata": [4], "conditional_routing": \#(written)}"#)
            #expect(problem.contains(text), "\(problem)")
        }
    }
}
