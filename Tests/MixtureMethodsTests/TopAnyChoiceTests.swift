import Autograd
import Foundation
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// Top-any choice, by hand, by differences of what backward takes for the step, and on several ranks.
@Suite(.hangLimit) struct TopAnyChoiceTests {
    private static func configuration(
        _ strata: [Int] = [2, 3], _ gradient: TopAnyChoice.GateGradient = .plain, scale: Float = 1, capacity: Float? = nil
    ) -> MixtureConfiguration {
        var configuration = WrittenMixture.mixture(strata, ["aux_loss_weight": "0"])
        (configuration.routing, configuration.capacityFactor) = (TopAnyChoice.routing, capacity)
        configuration[TopAnyChoice.self].settings.gateGradient = gradient
        configuration[TopAnyChoice.self].settings.scale = scale
        return configuration
    }

    /// A gate with values of one's own, and its router.
    private final class Example {
        let context = ComputeContext(threads: 1)
        let store = ParameterStore()
        let gate: any Gate
        let router: StratifiedRouter

        init(_ configuration: MixtureConfiguration, dim: Int) throws {
            let site = GateSite(name: "gate", configuration: configuration, stratum: 0, dim: dim)
            gate = try #require(configuration[TopAnyChoice.self].gate(of: site, store: store))
            router = StratifiedRouter(site)
            store.materialize(context, seed: 1)
        }

        func set(_ values: [String: [Float]]) throws {
            try store.forEachSlice { name, _, elements, _ in
                for (index, value) in (values[name] ?? []).enumerated() { elements[index] = value }
            }
        }

        func route(_ rows: Tensor, isTraining: Bool = true) -> RoutingDecision {
            router.route(
                context, logits: gate.logits(rows, context), thresholds: gate.thresholds,
                rows: (0..<rows.rows).map { Int32($0) }, key: RandomKey(seed: 1), isTraining: isTraining)
        }

        /// The gradient of the rows; those of the parameters are added to.
        func backward(_ decision: RoutingDecision, _ rows: Tensor, dweights: [Float], lossScale: Float = 0) -> Tensor {
            let drows = context.zeros(rows.rows, rows.columns)
            let (dlogits, dthresholds) = router.backward(context, decision, dweights: dweights, lossScale: lossScale)
            gate.backward(
                dlogits, dthresholds: dthresholds, rows: rows, logits: decision.gate.logits, addingTo: drows, context)
            return drows
        }

        var rows: Tensor { context.tensor([3, 4, 1, 0, 0, -2], rows: 3, columns: 2) }
    }

    /// Three experts of width 2 and three tokens.
    private static func byHand(_ gradient: TopAnyChoice.GateGradient = .plain) throws -> Example {
        let example = try Example(configuration([3], gradient), dim: 2)
        try example.set(["gate.weight": [1, 0, 0, 1, -0.6, 0.8], "gate.threshold": [0, 0.2, 0]])
        return example
    }

    @Test func whoeverIsAboveItsThresholdIsTaken() throws {
        let example = try Self.byHand(), decision = example.route(example.rows)
        try expectClose(
            decision.gate.logits.elements, [0.6, 0.8, 0.28, 1, 0, -0.6, 0, -1, -0.8], tolerance: 1e-6, "cosines")
        try expectClose(
            decision.gate.scores.elements,
            [0.645656, 0.689974, 0.569546, 0.731059, 0.5, 0.354344, 0.5, 0.268941, 0.310026], tolerance: 1e-5, "scores")
        #expect(decision.expertsByToken == [[1, 0, 2], [0], []] && decision.leading == [1, 0, 0])
        try expectClose(decision.weights, [1.0 / 3, 1.0 / 3, 1.0 / 3, 1], tolerance: 1e-6, "weights")
        let figures = decision.gate.configuration[TopAnyChoice.self].figures(decision)
        #expect(figures.map(\.name) == ["choices_mean", "unrouted_fraction"])
        try expectClose(figures.map(\.value), [4.0 / 3, 1.0 / 3], tolerance: 1e-6, "figures")
        let evaluated = example.route(example.rows, isTraining: false)
        #expect(evaluated.expertsByToken == [[1, 0, 2], [0], [0]] && evaluated.weights[3...] == [1, 1])
        // What a token takes for want of an expert is in no loss.
        try expectClose(
            example.router.losses(evaluated).suffix(2).map(\.value), [2.5, 0.444444], tolerance: 1e-5, "losses in evaluation")
    }

    /// q are the gradients of the weights: 1, 2 and 0 for the experts of each token.
    @Test(arguments: [TopAnyChoice.GateGradient.plain, .normalized])
    func gradientsByHand(gradient: TopAnyChoice.GateGradient) throws {
        let example = try Self.byHand(gradient), rows = example.rows, decision = example.route(rows)
        let drows = example.backward(decision, rows, dweights: [2, 1, 0, 1])
        let isPlain = gradient == .plain, gradients = try example.store.gradients()
        try expectClose(
            gradients["gate.threshold"]!, isPlain ? [-0.333333, -0.165011, 0] : [0, -0.082506, 0.083333], tolerance: 1e-4, "dG")
        try expectClose(
            gradients["gate.weight"]!,
            isPlain ? [0, 0.061009, 0.085564, 0, 0, 0] : [0, 0, 0.042782, 0, -0.062762, -0.047071], tolerance: 1e-4, "dW")
        try expectClose(
            drows.rows(0..<1).elements, isPlain ? [-0.003929, 0.002947] : [0.005707, -0.00428], tolerance: 1e-3, "dh")
    }

    @Test func lossesByHand() throws {
        let example = try Self.byHand(), losses = example.router.losses(example.route(example.rows))
        #expect(losses.map(\.name).suffix(2) == ["balance", "efficiency"])
        try expectClose(losses.suffix(2).map(\.value), [2.5, 0.444444], tolerance: 1e-5, "losses")
        try example.set(["gate.weight": [2, 0, 0, 1, -0.6, 0.8]])
        #expect(example.gate.losses.map(\.name) == ["diversity", "simplicity"])
        try expectClose(example.gate.losses.map(\.value), [Float(2).squareRoot(), 4.0 / 3], tolerance: 1e-5, "of the weights")
        try example.set(["gate.active": [1, 1, 0]])
        try expectClose(example.gate.losses.map(\.value), [0, 1.5], tolerance: 1e-5, floor: 1, "of two experts")
    }

    @Test func theGradientOfDiversityByHand() throws {
        var configuration = Self.configuration([3])
        configuration[TopAnyChoice.self].settings.diversity = 1
        configuration[TopAnyChoice.self].settings.simplicity = 0
        let example = try Example(configuration, dim: 2)
        try example.set(["gate.weight": [2, 0, 0, 1, -0.6, 0.8]])
        example.gate.addLossGradient(scale: 1)
        try expectClose(
            try example.store.gradients()["gate.weight"]!, [0, -0.339411, -0.678823, 0, 0, 0], tolerance: 1e-4, "∂diversity")
    }

    /// At the start weights are orthonormal: diversity is 0 and has no gradient, and about half of the experts are taken.
    @Test func atTheStart() throws {
        let example = try Example(Self.configuration([12]), dim: 64), weights = try example.store.gradients().keys
        #expect(weights.count == 3)
        #expect(example.gate.losses[0].value < 1e-5 && abs(example.gate.losses[1].value - 1) < 1e-5)
        let rows = example.context.tensor(normalValues(64 * 200, seed: 3), rows: 200, columns: 64)
        let decision = example.route(rows)
        #expect(abs(Double(decision.experts.count) / 200 - 6) < 0.5)
        example.gate.addLossGradient(scale: 1)
        let gradient = try example.store.gradients()["gate.weight"]!
        // Simplicity's alone: ŵ / V, times its weight.
        #expect(gradient.allSatisfy { abs($0) <= 0.01 / 12 + 1e-6 } && gradient.contains { $0 != 0 })
    }

    /// With the choices frozen, differences of Σ dz (a − θ).
    @Test(arguments: [TopAnyChoice.GateGradient.plain, .normalized], [1, 4] as [Float])
    func gateGradientsAgreeWithDifferences(gradient: TopAnyChoice.GateGradient, scale: Float) throws {
        let example = try Example(Self.configuration([4], gradient, scale: scale), dim: 5)
        try example.set([
            "gate.weight": normalValues(20, seed: 1), "gate.threshold": [0.1, -0.2, 0.15, -0.05], "gate.active": [1, 1, 0, 1],
        ])
        let rows = example.context.tensor(normalValues(35, seed: 2), rows: 7, columns: 5), decision = example.route(rows)
        let q = normalValues(decision.experts.count, seed: 3)
        let drows = example.backward(decision, rows, dweights: q)
        let dz = decision.experts.indices.map { choice -> Double in
            let range = decision.choices(ofToken: Int(decision.choiceTokens[choice])), count = Double(range.count)
            let mean = gradient == .plain ? 0 : range.reduce(0.0) { $0 + Double(q[$1]) } / count
            return (Double(q[choice]) - mean) / count
        }
        #expect(decision.experts.count > 3 && !decision.experts.contains(2))
        func objective() -> (Double, Int) {
            let logits = example.gate.logits(rows, example.context), thresholds = example.gate.thresholds!
            func sigmoid(_ x: Float) -> Double { 1 / (1 + exp(-Double(x))) }
            let sum = decision.experts.indices.reduce(0.0) { sum, choice in
                let expert = Int(decision.experts[choice])
                let a = sigmoid(logits[Int(decision.choiceTokens[choice]), expert])
                return sum + dz[choice] * (a - sigmoid(thresholds[expert]))
            }
            return (sum, 0)
        }
        let differences = CentralDifferences(tolerance: 1e-2)
        try differences.check(drows.elements, at: rows.buffer, "rows", objective: objective)
        try example.store.forEachSlice { name, _, values, gradients in
            if name.hasSuffix("active") {
                #expect(gradients.allSatisfy { $0 == 0 })
            } else {
                try differences.check(Array(gradients), at: values, name, objective: objective)
            }
        }
    }

    @Test func gradientsOfTheWeightsLossesAgreeWithDifferences() throws {
        var configuration = Self.configuration([4])
        configuration[TopAnyChoice.self].settings.diversity = 0.7
        configuration[TopAnyChoice.self].settings.simplicity = 0.4
        let example = try Example(configuration, dim: 5)
        try example.set(["gate.weight": normalValues(20, seed: 1), "gate.active": [1, 0, 1, 1]])
        example.gate.addLossGradient(scale: 2)
        try example.store.forEachSlice { name, _, values, gradients in
            guard name == "gate.weight" else { return }
            try CentralDifferences().check(Array(gradients), at: values, name) {
                let losses = example.gate.losses.map { Double($0.value) }
                return (2 * (0.7 * losses[0] + 0.4 * losses[1]), 0)
            }
        }
    }

    /// The twin: every expert above its threshold, whatever the order.
    @Test func choicesAreThoseOfTheTwin() throws {
        let example = try Example(Self.configuration([9], scale: 3), dim: 6)
        let w = normalValues(54, seed: 1), g = normalValues(9, seed: 2, scale: 0.5),
            active: [Float] = [1, 1, 0, 1, 1, 1, 0, 1, 1]
        try example.set(["gate.weight": w, "gate.threshold": g, "gate.active": active])
        let x = normalValues(6 * 100, seed: 3), decision = example.route(example.context.tensor(x, rows: 100, columns: 6))
        var unrouted = 0, ledByOthers = 0
        for token in 0..<100 {
            let h = x[token * 6..<(token + 1) * 6].map { Double($0) }
            let s = (0..<9).map { expert -> Double in
                let row = w[expert * 6..<(expert + 1) * 6].map { Double($0) }
                func length(_ v: [Double]) -> Double { v.reduce(0) { $0 + $1 * $1 }.squareRoot() }
                return zip(h, row).reduce(0) { $0 + $1.0 * $1.1 } / (length(h) * length(row))
            }
            let chosen = (0..<9).filter { active[$0] == 1 && 3 * s[$0] > Double(g[$0]) }.sorted { s[$0] > s[$1] }
            #expect(decision.expertsByToken[token] == chosen.map { Int32($0) })
            let best = (0..<9).filter { active[$0] == 1 }.max { s[$0] < s[$1] }!
            #expect(decision.leading[token] == Int32(best))
            if chosen.isEmpty { unrouted += 1 } else if chosen[0] != best { ledByOthers += 1 }
        }
        #expect(unrouted > 0 && ledByOthers > 0)
    }

    /// A token that nobody takes keeps its row in training, and moves on all the same.
    @Test func unroutedTokensMoveOn() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([2, 3]), group: communicator), x = tiny.tokens(12, seed: 1)
            try tiny.fill(".threshold", 2)
            let outcome = try tiny.forward(x)
            #expect(outcome.elements == x.elements && outcome.statistics.choices == 0 && outcome.visits.allSatisfy { $0 >= 1 })
            #expect(outcome["unrouted_fraction"] == 1)
            let evaluated = try tiny.forward(x, training: false)
            #expect(evaluated.statistics.choices == evaluated.statistics.strataPassed && evaluated.elements != x.elements)
        }
    }

    @Test(arguments: BlockWorld.all) func manyRanksAreOne(world: BlockWorld) throws {
        for (gradient, capacity) in [(.plain, nil), (.normalized, 1)] as [(TopAnyChoice.GateGradient, Float?)] {
            try world.expectOneRank(Self.configuration(world.strata, gradient, scale: 3, capacity: capacity))
        }
    }

    @Test func evaluationKnowsNoCompany() throws { try expectEvaluationKnowsNoCompany(Self.configuration()) }

    @Test func keys() throws {
        let read = try WrittenMixture.read(
            #"{"strata": [4], "routing": "top_any", "top_any": {"scale": 22.6, "gate_gradient": "normalized", "efficiency": 0}}"#
        )
        let settings = read[TopAnyChoice.self].settings
        #expect(settings.scale == 22.6 && settings.gateGradient == .normalized && settings.efficiency == 0)
        #expect(settings.diversity == 0.01 && read.additions == ["top-any"])
        #expect(try WrittenMixture.isReadAgain(read))
        #expect(read.rule.expectedChoices(read, atStratum: 0, isTraining: false) == 2)
        #expect(read.rule.expectedChoices(Self.configuration([8], capacity: 1.5), atStratum: 0, isTraining: true) == 1.5)
        for (keys, problem) in [
            (#""top_any": {"scale": 2}"#, "moe.top_any must be left out with moe.routing: token_choice"),
            (#""routing": "top_any", "top_k": 2"#, "moe.top_k must be left out with moe.routing: top_any"),
            (
                #""routing": "top_any", "gate_normalization": "before_drop""#,
                "moe.gate_normalization must be never, or be left out, with moe.routing: top_any"
            ),
        ] {
            let found = WrittenMixture.problem("{\"strata\": [4], \(keys)}")
            #expect(found.contains(problem), "\(found)")
        }
    }
}
