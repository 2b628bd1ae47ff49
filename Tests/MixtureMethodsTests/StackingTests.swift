import Autograd
import MixtureMethods
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import _TestSupport

/// Strata as plain mixtures one after another.
@Suite(.hangLimit) struct StackingTests {
    private static func configuration(_ strata: [Int], k: Int = 2, capacity: Float? = nil) -> MixtureConfiguration {
        var configuration = testedMixture(strata, capacity: capacity)
        configuration.topK = k
        configuration[Stacking.self].isStacked = true
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

    @Test(arguments: [1, 2, 3], [nil, 0.5] as [Float?]) func byHand(k: Int, capacity: Float?) throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration([2, 3, 2], k: k, capacity: capacity), group: communicator)
            let count = 9, x = tiny.tokens(count, seed: 1), block = tiny.block
            try #require(block.norms.count == 1 && block.gates.map(\.rows) == [2, 3, 2])
            let pass = tiny.trainingPass
            let outcome = try tiny.forward(x)
            try #require(outcome.visits == [Int](repeating: 3, count: count))
            let normalized = block.entryNorm(Variable(x), pass).value
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
                    try #require(Int(decision.leading[token]) == best, "stratum \(stratum), token \(token)")
                    var y = [Double](repeating: 0, count: TinyBlock.dim)
                    for choice in decision.choices(ofToken: token) where decision.kept[choice] {
                        let output = Self.expert(
                            try tiny.twin(of: "block.experts.\(decision.experts[choice])"), h[token])
                        for index in y.indices { y[index] += Double(decision.weights[choice]) * output[index] }
                    }
                    h[token] = y
                }
            }
            let expected = (0..<count).flatMap { token in h[token].enumerated().map { x[token, $0] + Float($1) } }
            try expectClose(outcome.elements, expected, tolerance: 1e-5, "output")
        }
    }

    @Test func oneStackedMixtureIsAPlainOne() throws {
        try alone { communicator in
            var configuration = Self.configuration([4], capacity: 1)
            let stacked = try TinyBlock(configuration, group: communicator, dropout: 0.2)
            configuration[Stacking.self].isStacked = false
            let plain = try TinyBlock(configuration, group: communicator, dropout: 0.2)
            let x = plain.tokens(20, seed: 1), dy = plain.tokens(20, seed: 2)
            let expected = try plain.train(x, doutput: dy, lossScale: 1),
                result = try stacked.train(x, doutput: dy, lossScale: 1)
            try #require(result.output == expected.output && result.dx == expected.dx)
            try #require(try stacked.store.gradients() == plain.store.gradients())
        }
    }

    @Test(arguments: [1, 2, 3], [[3], [2, 3], [3, 2]]) func gradientsAgreeWithDifferences(k: Int, strata: [Int]) throws {
        for capacity in [nil, 1] as [Float?] {
            // A chain of gates without residuals bends more within a step.
            try BlockGradients.check(
                Self.configuration(strata, k: k, capacity: capacity), dropout: 0.1, tolerance: 1e-2,
                "k \(k), strata \(strata), capacity \(capacity ?? 0)")
        }
    }

    @Test func evaluationKnowsNoCompany() throws {
        try expectEvaluationKnowsNoCompany(Self.configuration([2, 3, 2], capacity: 0.5))
    }

    @Test(arguments: BlockWorld.all, [1, 2]) func manyRanksAreOne(world: BlockWorld, k: Int) throws {
        for capacity in [nil, 1] as [Float?] {
            try world.expectOneRank(Self.configuration(world.strata, k: k, capacity: capacity))
        }
    }

    @Test func keys() throws {
        let unused = MixtureConfiguration(strata: [4])
        #expect(unused.strataOrder == .stratified && !WrittenMixture.keys(unused).contains("stacked"))
        let read = try WrittenMixture.read(#"{"strata": [4, 4], "stacked": true}"#)
        #expect(read.strataOrder == .stacked && read.additions == [])
        #expect(try WrittenMixture.isReadAgain(read))
        #expect(WrittenMixture.problem(#"{"strata": [4], "stacked": "yes"}"#).contains("moe.stacked must be true or false"))
    }

    @Test func modelsAreCalledByTheirStrata() {
        #expect(Stacking().name(strata: [4, 4]) == "stacking 2 × 4" && Stacking().name(strata: [4, 12]) == "stacking 4-12")
    }
}
