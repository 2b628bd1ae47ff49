import Autograd
import Collectives
import Foundation
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import _TestSupport

/// The routing options beyond the paper, by hand.
@Suite struct RoutingVariantTests {
    /// Routes tokens of the given probabilities over experts 0 ….
    private static func route(
        _ probabilities: [[Float]], k: Int = 2, capacity: Float? = nil, rule: RoutingRule = .tokenChoice,
        prioritized: Bool = false,
        bias: [Float] = []
    ) -> RoutingDecision {
        let context = ComputeContext(), experts = probabilities[0].count
        let router = StratifiedRouter(
            topK: k, capacityFactor: capacity, secondExpert: .best, normalization: .afterDrop, rule: rule,
            batchPrioritized: prioritized)
        return router.route(
            scores: context.tensor(probabilities.flatMap { $0.map { log($0) } }, rows: probabilities.count, columns: experts),
            visible: 0..<experts, rows: probabilities.indices.map { Int32($0) }, key: RandomKey(seed: 1), selectionBias: bias)
    }

    @Test func theRouterZLoss() throws {
        let context = ComputeContext()
        let router = StratifiedRouter(topK: 1, capacityFactor: nil, secondExpert: .best, normalization: .never)
        // Sums of 4 and of e² + e² = 2 e².
        let decision = router.route(
            scores: context.tensor([log(1), log(3), 2, 2], rows: 2, columns: 2), visible: 0..<2, rows: [0, 1],
            key: RandomKey(seed: 1))
        let sums: [Float] = [log(4), 2 + log(2)]
        try expectClose([decision.zLoss], [(sums[0] * sums[0] + sums[1] * sums[1]) / 2], tolerance: 1e-6, "loss")
        let gradient = context.zeros(2, 2)
        router.backward(decision, dweights: [0, 0], loadBalancingScale: 0, zLossScale: 3, into: gradient)
        try expectClose(
            gradient.elements, [3 * sums[0] / 4, 3 * sums[0] * 3 / 4, 3 * sums[1] / 2, 3 * sums[1] / 2], tolerance: 1e-6,
            "gradient")
    }

    @Test func biasesSelectAndDoNotWeigh() throws {
        let decision = Self.route([[0.5, 0.3, 0.2], [0.1, 0.7, 0.2]], bias: [-0.4, 0, 0.2])
        // p + bias: 0.1, 0.3, 0.4 and −0.3, 0.7, 0.4.
        #expect(decision.experts == [2, 1, 1, 2])
        try expectClose(decision.weights, [0.4, 0.6, 7.0 / 9, 2.0 / 9], tolerance: 1e-6, "weights")
        #expect(decision.firstChoiceFractions == [0, 0.5, 0.5])
    }

    @Test func biasesMoveAgainstTheLoad() throws {
        try alone { communicator in
            var configuration = MixtureConfiguration(strata: [2, 2])
            (configuration.biasBalancingRate, configuration.topK) = (0.25, 1)
            let tiny = try TinyBlock(configuration, group: communicator)
            for bias in tiny.block.selectionBiases { bias.value.fill(1) }
            // Means of 5 and of 4.
            tiny.block.balance(chosen: [[9, 5, 4, 2], [0, 0, 4, 4]])
            try #require(tiny.block.selectionBiases.map(\.value.elements) == [[0.75, 1, 1.25, 1.25], [1, 1]])
            try #require(try tiny.store.gradients()["block.gates.0.selection_bias"]!.count == 4)
        }
    }

    /// Tokens of 600, 200, 150, 50 for four experts with room for 250 each: what arrives has a mean of 162.5, what was chosen
    /// of 250.
    @Test func droppedChoicesCountForTheBalance() throws {
        try alone { communicator in
            var configuration = MixtureConfiguration(strata: [4])
            (configuration.biasBalancingRate, configuration.topK, configuration.capacityFactor) = (0.25, 1, 1)
            let tiny = try TinyBlock(configuration, group: communicator), block = tiny.block
            block.norms[0].gain.value.fill(1)
            block.norms[0].bias.value.fill(0)
            block.selectionBiases[0].value.fill(0)
            // A token's largest element names its expert.
            block.gates[0].value.fill(0)
            for expert in 0..<4 { block.gates[0].value[expert, expert] = 1 }
            let wanted = [600, 200, 150, 50].enumerated().flatMap { Array(repeating: $0, count: $1) }
            let x = tiny.context.zeros(wanted.count, TinyBlock.dim)
            for (token, expert) in wanted.enumerated() { x[token, expert] = 1 }
            let statistics = try tiny.forward(x).statistics
            try #require(statistics.load == [[250, 200, 150, 50]] && statistics.chosen == [[600, 200, 150, 50]])
            block.balance(chosen: statistics.chosen)
            try #require(block.selectionBiases[0].value.elements == [-0.25, 0.25, 0.25, 0.25])
        }
    }

    /// Two experts of two tokens each, one of two: capacity 1 × ceil(5 / 3).
    @Test func expertsChooseTokens() throws {
        let decision = Self.route(
            [[0.6, 0.3, 0.1], [0.5, 0.1, 0.4], [0.7, 0.1, 0.2], [0.4, 0.35, 0.25], [0.6, 0.3, 0.1]], capacity: 1,
            rule: .expertChoice)
        #expect(decision.choices == 3)
        // Expert 0 takes tokens 2 and 0 (before 4, which scores it as well), 1 takes 3 and 0, 2 takes 1 and 3. Nobody takes token 4.
        #expect(decision.experts == [0, 1, -1, 0, 2, -1, 0, -1, -1, 0, 1, 2, 0, -1, -1])
        #expect(
            decision.kept == [
                true, true, false, false, true, false, true, false, false, false, true, true, false, false, false,
            ])
        try expectClose(
            decision.weights, [0.6, 0.3, 0, 0, 0.4, 0, 0.7, 0, 0, 0, 0.35, 0.25, 0, 0, 0], tolerance: 1e-6, "bare probabilities"
        )
    }

    @Test func aTokenThatNobodyChoseMovesOn() throws {
        try alone { communicator in
            var configuration = MixtureConfiguration(strata: [2, 2])
            (configuration.routing, configuration.capacityFactor) = (.expertChoice, 0.5)
            let tiny = try TinyBlock(configuration, group: communicator)
            let x = tiny.tokens(40, seed: 1), outcome = try tiny.forward(x), decision = outcome.decisions[0]
            let passed = (0..<40).filter { outcome.visits[$0] == 1 && !decision.kept[$0 * 4..<$0 * 4 + 4].contains(true) }
            try #require(!passed.isEmpty)
            for token in passed {
                try #require(outcome.output.value.rows(token..<token + 1).elements == x.rows(token..<token + 1).elements)
                try #require(decision.firstChoice(token) >= 2)
            }
            // Every expert has its fill: floor(0.5 × ceil(40 / 4)).
            try #require(outcome.statistics.load[0] == [5, 5, 5, 5])
            // In evaluation tokens choose, and none is passed over.
            let evaluated = try tiny.forward(x, training: false).decisions[0]
            try #require(evaluated.choices == 2 && !evaluated.kept.contains(false))
            try expectClose(
                (0..<40).map { evaluated.weights[2 * $0] },
                (0..<40).map { evaluated.probabilities[$0, evaluated.firstChoice($0)] }, tolerance: 0, "bare probabilities")
        }
    }

    /// One expert, room for two: the tokens of highest probability instead of the first ones.
    @Test func prioritiesDecideWhoIsDropped() {
        let tokens: [[Float]] = [[0.6, 0.4], [0.9, 0.1], [0.7, 0.3], [0.7, 0.3]]
        #expect(Self.route(tokens, k: 1, capacity: 1).kept == [true, true, false, false])
        #expect(Self.route(tokens, k: 1, capacity: 1, prioritized: true).kept == [false, true, true, false])
        // Second choices queue after all first ones, in the same order of tokens.
        #expect(
            Self.route(tokens, k: 2, capacity: 1, prioritized: true).kept == [
                false, false, true, true, true, true, false, false,
            ])
    }

    @Test func sharedExpertsAreTakenByAll() throws {
        try alone { communicator in
            var configuration = MixtureConfiguration(strata: [2, 3])
            let plain = try TinyBlock(configuration, group: communicator)
            configuration.sharedExperts = 2
            let tiny = try TinyBlock(configuration, group: communicator)
            let x = tiny.tokens(20, seed: 1)
            let pass = ForwardPass(tape: Tape(tiny.context, recording: false), isTraining: true, key: RandomKey(seed: 5))
            var expected = try plain.forward(x).output
            let h = tiny.block.norms[0](Variable(x), pass)
            for network in tiny.block.sharedExperts { expected = network(h, addedTo: expected, pass, mask: .none) }
            try #require(try tiny.forward(x).output.value.elements == expected.value.elements)
        }
    }

    @Test(arguments: [false, true]) func gatingDropoutLeavesGroupsOut(stacked: Bool) throws {
        try alone { communicator in
            var configuration = MixtureConfiguration(strata: [2, 3])
            (configuration.gatingDropout, configuration.stacked) = (0.3, stacked)
            let tiny = try TinyBlock(configuration, group: communicator)
            let x = tiny.tokens(6, seed: 1)
            var leftOut = 0
            for group in 0..<400 {
                let outcome = try tiny.forward(x, key: RandomKey(seed: 9).derived(group))
                guard outcome.statistics.tokens == 0 else { continue }
                leftOut += 1
                try #require(outcome.output.value.elements == x.elements && outcome.visits.allSatisfy { $0 == 0 })
                try #require(outcome.loadBalancingLoss == 0)
            }
            // Five standard deviations.
            try #require(abs(Double(leftOut) / 400 - 0.3) < 5 * (0.3 * 0.7 / 400).squareRoot())
            try #require(
                try (0..<40).allSatisfy {
                    try tiny.forward(x, training: false, key: RandomKey(seed: 9).derived($0)).statistics.tokens == 6
                })
            // A group that is left out gives its gradient on, and none to the block.
            let key = try #require(
                try (0..<400).map { RandomKey(seed: 9).derived($0) }.first {
                    try tiny.forward(x, key: $0).statistics.tokens == 0
                })
            let dy = tiny.tokens(6, seed: 2), result = try tiny.train(x, doutput: dy, lossScale: 1, key: key)
            try #require(result.dx == dy.elements)
            try #require(try tiny.store.gradients().values.allSatisfy { $0.allSatisfy { $0 == 0 } })
        }
    }

    @Test(arguments: [1, 2]) func forcedLoadsAreEven(k: Int) throws {
        try alone { communicator in
            var configuration = MixtureConfiguration(strata: [2, 2])
            (configuration.routing, configuration.topK, configuration.capacityFactor) = (.forcedBalanced, k, nil)
            let tiny = try TinyBlock(configuration, group: communicator)
            let outcome = try tiny.forward(tiny.tokens(16, seed: 1))
            // Half of the 16 tokens go on to the second stratum.
            try #require(outcome.statistics.load == [[4 * k, 4 * k, 4 * k, 4 * k], [0, 0, 4 * k, 4 * k]])
            try #require(outcome.decisions[0].firstChoiceFractions == [0.25, 0.25, 0.25, 0.25])
        }
    }
}
