import Autograd
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// Biases that balance what tokens choose.
@Suite(.hangLimit) struct BiasBalancingTests {
    /// Second experts are the best ones: a drawn one knows no biases.
    private static func configuration(
        _ strata: [Int] = [2, 3], rate: Float = 0.1, k: Int = 2, capacity: Float? = 1
    ) throws -> MixtureConfiguration {
        var configuration = try WrittenMixture.read(#"{"strata": [1], "second_expert": "best"}"#)
        (configuration.strata, configuration.topK, configuration.capacityFactor) = (strata, k, capacity)
        configuration[TestBalance.self] = TestBalance()
        configuration[BiasBalancing.self].rate = rate
        return configuration
    }

    private static func biases(_ tiny: TinyBlock) throws -> [String: [Float]] {
        var biases: [String: [Float]] = [:]
        try tiny.store.forEachSlice { name, _, values, _ in
            if name.hasSuffix("selection_bias") { biases[name] = Array(values) }
        }
        return biases
    }

    @Test func biasesSelectAndDoNotWeigh() throws {
        var configuration = try Self.configuration(capacity: nil)
        configuration.strata = [3]
        let store = ParameterStore()
        let site = GateSite(name: "gate", configuration: configuration, stratum: 0, dim: 1)
        let adjustment = try #require(configuration[BiasBalancing.self].adjustment(of: site, store: store))
        store.materialize(ComputeContext(), seed: 1)
        try store.forEachSlice { name, _, values, _ in
            #expect(name == "gate.selection_bias" && values.allSatisfy { $0 == 0 })
            for (index, bias) in ([-0.4, 0, 0.2] as [Float]).enumerated() { values[index] = bias }
        }
        let decision = route([[0.5, 0.3, 0.2], [0.1, 0.7, 0.2]], configuration, adjustments: [adjustment])
        // p + bias: 0.1, 0.3, 0.4 and −0.3, 0.7, 0.4.
        #expect(decision.experts == [2, 1, 1, 2])
        try expectClose(decision.weights, [0.4, 0.6, 7.0 / 9, 2.0 / 9], tolerance: 1e-6, "weights")
        #expect(decision.leadingFractions == [0, 0.5, 0.5])
    }

    @Test func biasesMoveAgainstTheLoad() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([2, 2], rate: 0.25, k: 1), group: communicator)
            try tiny.fill("selection_bias", 1)
            // Means of 5 and of 4.
            tiny.block.update(chosen: [[9, 5, 4, 2], [0, 0, 4, 4]])
            try #require(
                try Self.biases(tiny) == [
                    "block.gates.0.selection_bias": [0.75, 1, 1.25, 1.25], "block.gates.1.selection_bias": [1, 1],
                ])
        }
    }

    /// Tokens of 600, 200, 150, 50 for four experts with room for 250 each: what arrives has a mean of 162.5, what was chosen
    /// of 250.
    @Test func droppedChoicesCountForTheBalance() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([4], rate: 0.25, k: 1), group: communicator), block = tiny.block
            try tiny.fill("norms.0.weight", 1)
            try tiny.fill("norms.0.bias", 0)
            try tiny.fill("selection_bias", 0)
            // A token's largest element names its expert.
            block.gates[0].value.fill(0)
            for expert in 0..<4 { block.gates[0].value[expert, expert] = 1 }
            let wanted = [600, 200, 150, 50].enumerated().flatMap { Array(repeating: $0, count: $1) }
            let x = tiny.context.zeros(wanted.count, TinyBlock.dim)
            for (token, expert) in wanted.enumerated() { x[token, expert] = 1 }
            let statistics = try tiny.forward(x).statistics
            try #require(statistics.load == [[250, 200, 150, 50]] && statistics.chosen == [[600, 200, 150, 50]])
            block.update(chosen: statistics.chosen)
            try #require(try Self.biases(tiny)["block.gates.0.selection_bias"] == [-0.25, 0.25, 0.25, 0.25])
        }
    }

    @Test func withoutARateThereAreNone() throws {
        let unused = try Self.configuration(rate: 0), used = try Self.configuration()
        #expect(!unused.learnsFromLoads && used.learnsFromLoads)
        try alone { communicator in
            let without = try TinyBlock(unused, group: communicator), with = try TinyBlock(used, group: communicator)
            #expect(try Self.biases(without).isEmpty)
            #expect(
                try Self.biases(with).mapValues(\.count) == [
                    "block.gates.0.selection_bias": 5, "block.gates.1.selection_bias": 3,
                ])
        }
    }

    @Test(arguments: [1, 2, 3]) func evaluationKnowsNoCompany(k: Int) throws {
        try expectEvaluationKnowsNoCompany(try Self.configuration(k: k))
    }

    /// What a bias selects is no smooth function of it: biases have no gradients.
    @Test(arguments: [1, 2, 3]) func gradientsAgreeWithDifferences(k: Int) throws {
        try BlockGradients.check(
            try Self.configuration(k: k), dropout: 0.1, tolerance: 1e-2, withoutGradient: ["selection_bias"], "k \(k)")
    }

    @Test(arguments: BlockWorld.few, [1, 2]) func manyRanksAreOne(world: BlockWorld, k: Int) throws {
        try world.expectOneRank(try Self.configuration(world.strata, k: k))
    }

    @Test func keys() throws {
        let unused = MixtureConfiguration(strata: [4])
        #expect(unused.additions == [] && !WrittenMixture.keys(unused).contains("bias_balancing_rate"))
        let read = try WrittenMixture.read(#"{"strata": [4], "bias_balancing_rate": 0.125, "second_expert": "best"}"#)
        #expect(read[BiasBalancing.self].rate == 0.125 && read.additions == ["bias balancing"])
        #expect(try WrittenMixture.isReadAgain(read))
        #expect(WrittenMixture.problem(#"{"strata": [4], "bias_balancing_rate": 0.1, "top_k": 1}"#) == "")
        #expect(
            WrittenMixture.problem(#"{"strata": [4], "bias_balancing_rate": 0.1}"#).contains(
                "moe.second_expert must be best or random with moe.bias_balancing_rate"))
        #expect(
            WrittenMixture.problem(#"{"strata": [4], "bias_balancing_rate": -1}"#).contains(
                "moe.bias_balancing_rate must be a number of at least 0"))
    }

    /// A rule that does not ask for the selection.
    private struct Blind: RoutingRule {
        static let routing = "blind"
        var readsSelection: Bool { false }

        func choose(_ gate: GateScores) -> RoutingChoices { gate.bestChoices(1) }
    }

    @Test func rulesThatReadNoSelectionAreRefused() throws {
        let form = MixtureConfiguration.form(methods: [BestChoice(), Blind(), BiasBalancing()])
        func read(_ routing: String) throws {
            _ = try form.read(
                root: JSONValue.map([
                    "strata": .integer(4), "routing": .text(routing), "bias_balancing_rate": .number(0.5),
                ]).node
            ) { $0.validate("moe", $1) }
        }
        try read("best")
        let error = #expect(throws: (any Error).self) { try read("blind") }
        #expect("\(error!)".contains("moe.bias_balancing_rate must be 0 with moe.routing: blind"))
    }
}
