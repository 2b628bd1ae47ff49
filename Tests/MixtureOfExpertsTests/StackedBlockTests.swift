import Autograd
import Collectives
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import _TestSupport

/// Strata as plain mixtures one after another.
@Suite struct StackedBlockTests {
    private static func configuration(_ strata: [Int], k: Int = 2, capacity: Float? = nil) -> MixtureConfiguration {
        var configuration = MixtureConfiguration(strata: strata)
        configuration.topK = k
        configuration.capacityFactor = capacity
        configuration.stacked = true
        return configuration
    }

    /// W2 relu(W1 h + b1) + b2 of an expert, in 64 bits.
    private static func expert(_ network: FeedForward, _ h: [Double]) -> [Double] {
        func affine(_ w: Tensor, _ b: Tensor, _ x: [Double]) -> [Double] {
            (0..<w.rows).map { row in x.indices.reduce(Double(b[0, row])) { $0 + Double(w[row, $1]) * x[$1] } }
        }
        let hidden = affine(network.weight1.value, network.bias1.value, h).map { max(0, $0) }
        return affine(network.weight2.value, network.bias2.value, hidden)
    }

    @Test(arguments: [1, 2], [nil, 0.5] as [Float?]) func byHand(k: Int, capacity: Float?) throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([2, 3, 2], k: k, capacity: capacity), group: communicator)
            let count = 9, x = tiny.tokens(count, seed: 1), block = tiny.block
            try #require(block.norms.count == 1 && block.gates.map(\.rows) == [2, 3, 2])
            let pass = ForwardPass(tape: Tape(tiny.context, recording: false), isTraining: true, key: RandomKey(seed: 5))
            let outcome = try tiny.forward(x)
            try #require(outcome.visits == [UInt8](repeating: 3, count: count))
            let normalized = block.norms[0](Variable(x), pass).value
            var h = (0..<count).map { normalized.rows($0..<$0 + 1).elements.map(Double.init) }
            for (stratum, visible) in [0..<2, 2..<5, 5..<7].enumerated() {
                let decision = outcome.decisions[stratum], gate = block.gates[stratum].value
                try #require(decision.tokens == count && decision.visible == visible)
                for token in 0..<count {
                    let scores = visible.indices.map { expert in
                        (0..<TinyBlock.dim).reduce(0.0) {
                            $0 + Double(gate[expert - visible.lowerBound, $1]) * h[token][$1]
                        }
                    }
                    let best = scores.indices.max { scores[$0] < scores[$1] }! + visible.lowerBound
                    try #require(decision.firstChoice(token) == best, "stratum \(stratum), token \(token)")
                    var y = [Double](repeating: 0, count: TinyBlock.dim)
                    for choice in token * k..<(token + 1) * k where decision.kept[choice] {
                        let output = Self.expert(block.experts.experts[Int(decision.experts[choice])], h[token])
                        for index in y.indices { y[index] += Double(decision.weights[choice]) * output[index] }
                    }
                    h[token] = y
                }
            }
            let expected = (0..<count).flatMap { token in h[token].enumerated().map { x[token, $0] + Float($1) } }
            try expectClose(outcome.output.value.elements, expected, tolerance: 1e-5, "output")
        }
    }

    @Test func oneStackedMixtureIsAPlainOne() throws {
        try alone { communicator in
            var configuration = Self.configuration([4], capacity: 1)
            let stacked = try TinyBlock(configuration, group: communicator, dropout: 0.2)
            configuration.stacked = false
            let plain = try TinyBlock(configuration, group: communicator, dropout: 0.2)
            let x = plain.tokens(20, seed: 1), dy = plain.tokens(20, seed: 2)
            let expected = try plain.train(x, doutput: dy, lossScale: 1),
                result = try stacked.train(x, doutput: dy, lossScale: 1)
            try #require(result.output == expected.output && result.dx == expected.dx)
            try #require(try stacked.store.gradients() == plain.store.gradients())
        }
    }

    /// What scaling by 1 − probability means: every expert's output, in every stratum, is that much smaller.
    @Test(arguments: [false, true]) func maskingScalesEveryExpertInEvaluation(stacked: Bool) throws {
        try alone { communicator in
            var configuration = Self.configuration([2, 3])
            configuration.stacked = stacked
            let scaled = try TinyBlock(configuration, group: communicator)
            for expert in scaled.block.experts.experts {
                for parameter in [expert.weight2, expert.bias2] {
                    for index in 0..<parameter.count { parameter.value.pointer[index] *= 0.75 }
                }
            }
            configuration.expertOutputMasking = 0.25
            let masked = try TinyBlock(configuration, group: communicator)
            let x = masked.tokens(30, seed: 1)
            try expectClose(
                try masked.forward(x, training: false).output.value.elements,
                scaled.forward(x, training: false).output.value.elements, tolerance: 1e-6, "output")
        }
    }
}
