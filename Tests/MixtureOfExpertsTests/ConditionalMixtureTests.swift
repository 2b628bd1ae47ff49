import Autograd
import Collectives
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import _TestSupport

/// Conditional routing between the shared network and the experts.
@Suite struct ConditionalMixtureTests {
    private static func configuration(
        _ strata: [Int] = [2, 3], budget: Float = 0.8, weight: Float = 0, gateDropout: Float = 0
    ) -> MixtureConfiguration {
        var configuration = MixtureConfiguration(strata: strata)
        configuration.conditionalRouting = ConditionalRouting()
        configuration.conditionalRouting?.budget = budget
        configuration.conditionalRouting?.weight = weight
        configuration.conditionalRouting?.gateDropout = gateDropout
        return configuration
    }

    /// A gate of the same value for every token: the sigmoid of `logit`.
    private static func setGate(_ tiny: TinyBlock, logit: Float) {
        tiny.block.conditional!.gate.weight.value.fill(0)
        tiny.block.conditional!.gate.bias.value.fill(logit)
    }

    /// x + dropout(FFN(LayerNorm(x))) with the block's own first LayerNorm and shared network.
    private static func denseSublayer(_ tiny: TinyBlock, _ x: Tensor) -> [Float] {
        let pass = ForwardPass(tape: Tape(tiny.context, recording: false), isTraining: true, key: RandomKey(seed: 5))
        let input = Variable(x)
        return tiny.block.conditional!.shared(
            tiny.block.norms[0](input, pass), addedTo: input, pass, mask: pass.dropout(0.2, purpose: .sharedExpert)
        ).value.elements
    }

    @Test(arguments: [[4], [2, 3]], [false, true]) func anOpenGateIsThePlainBlock(strata: [Int], stacked: Bool) throws {
        try alone { communicator in
            var configuration = Self.configuration(strata)
            configuration.stacked = stacked
            let conditional = try TinyBlock(configuration, group: communicator, dropout: 0.2)
            Self.setGate(conditional, logit: 200)
            configuration.conditionalRouting = nil
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
            Self.setGate(tiny, logit: -200)
            let x = tiny.tokens(20, seed: 1)
            let result = try tiny.train(x, doutput: tiny.tokens(20, seed: 2), lossScale: 0)
            try #require(result.output == Self.denseSublayer(tiny, x))
            let gradients = try tiny.store.gradients()
            try #require(gradients["block.experts.0.fc1.weight"]!.allSatisfy { $0 == 0 })
            try #require(gradients["block.shared.fc1.weight"]!.contains { $0 != 0 })
        }
    }

    @Test func aGateBetweenMixes() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration(), group: communicator, dropout: 0.2)
            let x = tiny.tokens(20, seed: 1), dense = Self.denseSublayer(tiny, x)
            Self.setGate(tiny, logit: 200)
            let mixture = try tiny.forward(x).output.value.elements
            // ln 3: a gate of 3 / 4.
            Self.setGate(tiny, logit: 1.098_612_3)
            try expectClose(
                try tiny.forward(x).output.value.elements, zip(dense, mixture).map { 0.25 * $0 + 0.75 * $1 }, tolerance: 1e-6,
                "output")
        }
    }

    /// |g − budget| for gates that are all g; its derivative with respect to the gate's bias is ± g (1 − g).
    @Test(arguments: [(0.8, -1.0), (0.1, 1), (0.5, 0)] as [(budget: Float, sign: Float)])
    func theBudgetLossByHand(_ example: (budget: Float, sign: Float)) throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration(budget: example.budget, weight: 0.25), group: communicator)
            Self.setGate(tiny, logit: 0)
            let x = tiny.tokens(7, seed: 1)
            try expectClose([try tiny.forward(x).budgetLoss], [abs(0.5 - example.budget)], tolerance: 1e-6, "loss")
            _ = try tiny.train(x, doutput: tiny.context.zeros(7, TinyBlock.dim), lossScale: 3)
            try expectClose(
                try tiny.store.gradients()["block.cmr_gate.bias"]!, [3 * 0.25 * example.sign * 0.25], tolerance: 1e-5, "bias")
        }
    }

    @Test func gateDropoutClosesGatesInTraining() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([4], gateDropout: 0.3), group: communicator)
            Self.setGate(tiny, logit: 200)
            let count = 2000, x = tiny.tokens(count, seed: 1)
            let whole = try TinyBlock(Self.configuration([4]), group: communicator)
            Self.setGate(whole, logit: 200)
            let open = try whole.forward(x), outcome = try tiny.forward(x)
            func row(_ outcome: StratifiedBlock.Outcome, _ token: Int) -> [Float] {
                outcome.output.value.rows(token..<token + 1).elements
            }
            let closed = (0..<count).count { row(outcome, $0) != row(open, $0) }
            // Five standard deviations.
            try #require(abs(Double(closed) / Double(count) - 0.3) < 5 * (0.3 * 0.7 / Double(count)).squareRoot())
            // The budget counts the gates as they were used.
            try expectClose(
                [outcome.budgetLoss], [abs(1 - Float(closed) / Float(count) - 0.8)], tolerance: 1e-5, "budget loss")
            // In evaluation every gate has the mean of training.
            try expectClose(
                [try tiny.forward(x, training: false).budgetLoss], [abs(0.7 - 0.8)], tolerance: 1e-6, "budget loss, evaluation")
        }
    }

    @Test func evaluationHasTheMeanGateOfTraining() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration(gateDropout: 0.3), group: communicator)
            let whole = try TinyBlock(Self.configuration(), group: communicator)
            let x = tiny.tokens(20, seed: 1)
            Self.setGate(whole, logit: 200)
            let mixture = try whole.forward(x, training: false).output.value.elements
            Self.setGate(whole, logit: -200)
            let dense = try whole.forward(x, training: false).output.value.elements
            // ln 3: a gate of 3 / 4, times 1 − 0.3.
            Self.setGate(tiny, logit: 1.098_612_3)
            try expectClose(
                try tiny.forward(x, training: false).output.value.elements,
                zip(dense, mixture).map { 0.475 * $0 + 0.525 * $1 }, tolerance: 1e-6, "output")
        }
    }

    @Test(arguments: [1, 2]) func noTokensAnywhere(ranks: Int) throws {
        _ = try SimulatedCluster.run(ranks: ranks) { communicator in
            let tiny = try TinyBlock(Self.configuration(weight: 1, gateDropout: 0.1), group: communicator)
            let nothing = tiny.tokens(0, seed: 1)
            let result = try tiny.train(nothing, doutput: nothing, lossScale: 1)
            let outcome = try tiny.forward(nothing), gradients = try tiny.store.gradients()
            try #require(result.output.isEmpty && outcome.budgetLoss == 0)
            try #require(gradients.values.allSatisfy { $0.allSatisfy { $0 == 0 } })
        }
    }
}
