import Autograd
import MixtureMethods
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import _TestSupport

/// Experts that are parts of one network: all of them are it, each is taken once, gates only select.
@Suite(.hangLimit) struct ExpertSumTests {
    static func configuration(_ strata: [Int] = [2, 3], topK: Int = 2, capacity: Float? = nil) -> MixtureConfiguration {
        var configuration = testedMixture(strata, capacity: capacity)
        (configuration.topK, configuration.gateNormalization) = (topK, .never)
        configuration[ExpertSum.self].combination = .sum
        configuration[ExpertSum.self].input = .entry
        return configuration
    }

    /// Two experts of two units each of a network of four: the case of the specification.
    private static func byHand(topK: Int) throws -> [[Float]] {
        try alone { communicator in
            var configuration = MixtureConfiguration(strata: [2])
            (configuration.topK, configuration.capacityFactor, configuration.gateNormalization) = (topK, nil, .never)
            configuration[ExpertSum.self].combination = .sum
            let context = ComputeContext(threads: 1), store = ParameterStore()
            let site = BlockSite(name: "block", configuration: configuration, dim: 2, ffnDim: 2, dropout: 0)
            let method = configuration[ExpertSum.self]
            let experts = try (0..<2).map {
                try #require(method.expert($0, name: "block.experts.\($0)", of: site, store: store))
            }
            let wrapper = try #require(method.wrapper(of: site, store: store))
            store.materialize(context, seed: 1)
            let values: [String: [Float]] = [
                // Units 0 and 2, then 1 and 3.
                "block.experts.0.fc1.weight": [1, 0, 2, 0.2], "block.experts.0.fc1.bias": [0, -0.5],
                "block.experts.0.fc2.weight": [1, 2, 0, 0], "block.experts.1.fc1.weight": [0, 1, -0.1, 1],
                "block.experts.1.fc1.bias": [0, 0.1], "block.experts.1.fc2.weight": [0, 1, 1, -1],
                "block.output_bias": [0.5, -0.5],
            ]
            try store.forEachSlice { name, _, elements, _ in
                for index in elements.indices { elements[index] = values[name]![index] }
            }
            // Positive masses: 2.54 and .4, .3 and 2.08, 0 and 2.2.
            let rows: [[Float]] = [[1, 0.2], [0.2, 1], [-1, 1]], best = [0, 1, 1]
            let pass = ForwardPass(tape: Tape(context, recording: false), isTraining: false, key: RandomKey(seed: 1))
            return try rows.indices.map { token in
                let zeros = Variable(context.zeros(1, 2)), h = Variable(context.tensor(rows[token], rows: 1, columns: 2))
                let (output, _) = try wrapper(zeros, h: h, pass) { _, h in
                    var sum: [Float] = [0, 0]
                    for (number, expert) in experts.enumerated() where topK == 2 || number == best[token] {
                        var hidden = [Float](repeating: 0, count: expert.hiddenWidth), y: [Float] = [0, 0]
                        expert.hidden(h.value.pointer, count: 1, into: &hidden)
                        expert.outputs(hidden, count: 1, into: &y)
                        for column in 0..<2 { sum[column] += y[column] }
                    }
                    return Variable(context.tensor(sum, rows: 1, columns: 2))
                }
                return output.value.elements
            }
        }
    }

    @Test func theNetworkByHand() throws {
        for (topK, expected) in [
            (2, [[4.78, -0.5], [1.98, -0.58], [1.7, -0.7]]), (1, [[4.58, -0.5], [1.58, -0.58], [1.7, -0.7]]),
        ] as [(Int, [[Float]])] {
            try expectClose(try Self.byHand(topK: topK).flatMap { $0 }, expected.flatMap { $0 }, tolerance: 1e-5, "top-\(topK)")
        }
    }

    /// A token that takes all experts at its first gate has the whole network, whatever the order of strata.
    @Test(arguments: [[5], [2, 3], [3, 2], [1, 2, 2]]) func allExpertsAreTheNetwork(strata: [Int]) throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration(strata, topK: 5), group: communicator), x = tiny.tokens(12, seed: 4)
            let outcome = try tiny.forward(x), h = tiny.block.entryNorm(Variable(x), tiny.trainingPass).value
            var values: [String: [Float]] = [:]
            try tiny.store.forEachSlice { name, _, elements, _ in values[name] = Array(elements) }
            var expected = x.elements
            for token in 0..<12 {
                for column in 0..<8 { expected[token * 8 + column] += values["block.output_bias"]![column] }
                for expert in 0..<5 {
                    let w1 = values["block.experts.\(expert).fc1.weight"]!, b1 = values["block.experts.\(expert).fc1.bias"]!
                    let w2 = values["block.experts.\(expert).fc2.weight"]!
                    for unit in b1.indices {
                        let z = (0..<8).reduce(b1[unit]) { $0 + w1[unit * 8 + $1] * h[token, $1] }
                        for column in 0..<8 { expected[token * 8 + column] += w2[column * b1.count + unit] * max(z, 0) }
                    }
                }
            }
            try expectClose(outcome.elements, expected, tolerance: 1e-5, "the network")
            // Tokens go on by their best expert, and find nothing left.
            for decision in outcome.decisions.dropFirst() {
                #expect(decision.experts.isEmpty && decision.leading.allSatisfy { $0 == -1 })
            }
            #expect(values["block.experts.0.fc2.bias"] == nil)
        }
    }

    @Test func anExpertIsTakenOnce() throws {
        try alone { communicator in
            for training in [false, true] {
                let tiny = try TinyBlock(Self.configuration([3, 3, 3]), group: communicator), x = tiny.tokens(40, seed: 5)
                let outcome = try tiny.forward(x, training: training)
                var taken = [Set<Int32>](repeating: [], count: 40), choices = 0
                for decision in outcome.decisions {
                    for (choice, expert) in decision.experts.enumerated() {
                        taken[Int(decision.gate.rows[Int(decision.choiceTokens[choice])])].insert(expert)
                        choices += 1
                    }
                }
                #expect(taken.reduce(0) { $0 + $1.count } == choices && outcome.statistics.requestedCapacity > 1)
                #expect(outcome.decisions.allSatisfy { $0.weights.allSatisfy { $0 == 1 } })
            }
        }
    }

    /// Gates have no gradient of the main loss, and that of the losses.
    @Test func gatesOnlySelect() throws {
        try alone { communicator in
            for (lossScale, isZero) in [(0, true), (1, false)] as [(Float, Bool)] {
                let tiny = try TinyBlock(Self.configuration(), group: communicator)
                _ = try tiny.train(tiny.tokens(20, seed: 2), doutput: tiny.tokens(20, seed: 3), lossScale: lossScale)
                let gradients = try tiny.store.gradients()
                for stratum in 0..<2 {
                    #expect(gradients["block.gates.\(stratum).weight"]!.allSatisfy { $0 == 0 } == isZero)
                }
            }
        }
    }

    @Test func gradientsAgreeWithDifferences() throws {
        for (topK, capacity) in [(2, nil), (2, 1), (1, nil)] as [(Int, Float?)] {
            try BlockGradients.check(
                Self.configuration(topK: topK, capacity: capacity), dropout: 0.1, tolerance: 1e-2, "top-\(topK)")
        }
        var weighted = Self.configuration()
        weighted[ExpertSum.self].combination = .weighted
        try BlockGradients.check(weighted, dropout: 0.1, tolerance: 1e-2, "strata that read the entry, weighted")
    }

    @Test(arguments: BlockWorld.all) func manyRanksAreOne(world: BlockWorld) throws {
        try world.expectOneRank(Self.configuration(world.strata, capacity: 1))
    }

    @Test func evaluationKnowsNoCompany() throws { try expectEvaluationKnowsNoCompany(Self.configuration()) }

    @Test func keys() throws {
        let read = try WrittenMixture.read(
            #"{"strata": [4], "combine": "sum", "input": "entry", "gate_normalization": "never"}"#)
        #expect(read[ExpertSum.self].combination == .sum && read[ExpertSum.self].input == .entry)
        #expect(read.additions == ["summed experts"])
        #expect(try WrittenMixture.isReadAgain(read))
        let keys = WrittenMixture.keys(MixtureConfiguration(strata: [4]))
        #expect(!keys.contains("combine") && !keys.contains("input"))
        #expect(
            WrittenMixture.problem(#"{"strata": [4], "combine": "sum"}"#).contains(
                "moe.gate_normalization must be never with moe.combine: sum, where every choice weighs 1, but is after_drop"))
    }
}
