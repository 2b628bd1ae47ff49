import Autograd
import MixtureMethods
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import _TestSupport

/// Sub-tokens, by hand, by differences and on several ranks.
@Suite(.hangLimit) struct MultiHeadTests {
    private static func configuration(
        _ strata: [Int] = [2, 3], heads: Int = 2, head: Bool = true, merge: Bool = true, residual: Bool = false,
        capacity: Float? = 1
    ) -> MixtureConfiguration {
        var configuration = testedMixture(strata, capacity: capacity), method = MultiHead()
        (method.heads, method.hasHeadLayer, method.hasMergeLayer) = (heads, head, merge)
        method.hasSubTokenResidual = residual
        configuration[MultiHead.self] = method
        return configuration
    }

    /// A block of two experts, 2 relu and 3 relu, of sub-tokens of width 2, whose only gate is the identity. Rows reach the head
    /// layer as they are: the wrapper is given them.
    private static func byHand(residual: Bool) throws -> (rows: [Float], loss: Float) {
        var configuration = MixtureConfiguration(strata: [2])
        (configuration.topK, configuration.capacityFactor) = (1, nil)
        var method = MultiHead()
        (method.heads, method.hasSubTokenResidual) = (2, residual)
        configuration[MultiHead.self] = method
        let context = ComputeContext(threads: 1), store = ParameterStore()
        let site = BlockSite(name: "block", configuration: configuration, dim: 4, ffnDim: 2, dropout: 0)
        let wrapper = try #require(method.wrapper(of: site, store: store))
        store.materialize(context, seed: 1)
        let values: [String: [Float]] = [
            "block.head.weight": [0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1],
            "block.merge.weight": [0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0],
        ]
        try store.forEachSlice { name, _, elements, _ in
            for index in elements.indices { elements[index] = values[name]?[index] ?? 0 }
        }
        let x = context.tensor([1, 2, 3, 4, 0, -1, 2, 1], rows: 2, columns: 4)
        let pass = ForwardPass(tape: Tape(context, recording: false), isTraining: false, key: RandomKey(seed: 1))
        var loss: Float = 0
        let zeros = Variable(context.zeros(2, 4))
        let (output, _) = try wrapper(zeros, h: Variable(x), pass) { parts, h in
            #expect(h.value.elements == [2, 1, 3, -4, -1, 0, 2, -1])
            let router = StratifiedRouter(GateSite(name: "gate", configuration: configuration, stratum: 0, dim: 2))
            let decision = router.route(
                context, logits: context.copy(h.value), rows: [0, 1, 2, 3], key: RandomKey(seed: 1), isTraining: false)
            #expect(decision.experts == [0, 0, 1, 0])
            try expectClose(
                decision.gate.scores.elements,
                [0.731059, 0.268941, 0.999089, 0.000911, 0.268941, 0.731059, 0.952574, 0.047426], tolerance: 1e-5, "p")
            loss = TestBalance().value(decision)
            let mixed = context.copy(parts.value)
            for row in 0..<4 {
                for column in 0..<2 {
                    let scale = decision.weights[row] * Float(decision.experts[row] + 2)
                    mixed[row, column] += scale * max(h.value[row, column], 0)
                }
            }
            return Variable(mixed)
        }
        return (output.value.elements, loss)
    }

    @Test func subTokensByHand() throws {
        let (rows, loss) = try Self.byHand(residual: false)
        try expectClose(rows, [0, 5.994534, 1.462117, 2.924234, 0, 3.810297, 0, 0], tolerance: 1e-5, "y")
        try expectClose([loss], [1.237916], tolerance: 1e-5, "loss")
        let (sums, _) = try Self.byHand(residual: true)
        try expectClose(
            sums, [-4, 8.994534, 2.462117, 4.924234, -1, 5.810297, 0, -1], tolerance: 1e-5, "with the sub-tokens")
    }

    /// One head is the block without the method, to the bit, and has no layers.
    @Test func oneHeadChangesNothing() throws {
        let results = try [testedMixture(), Self.configuration(heads: 1)].map { configuration in
            try alone { communicator in
                let tiny = try TinyBlock(configuration, group: communicator, dropout: 0.1), x = tiny.tokens(20, seed: 2)
                return try tiny.train(x, doutput: tiny.tokens(20, seed: 3), lossScale: 1)
            }
        }
        #expect(results[0].output == results[1].output && results[0].dx == results[1].dx)
    }

    /// The twin: rows cut by hand pass a plain block of the sub-tokens' width whose parameters are the same. One stratum, so that
    /// there is no LayerNorm behind the head layer.
    @Test func subTokensPassTheStrataAsTokensDo() throws {
        try alone { communicator in
            let configuration = Self.configuration([4], head: false, merge: false, capacity: nil)
            let tiny = try TinyBlock(configuration, group: communicator), x = tiny.tokens(15, seed: 4)
            let outcome = try tiny.forward(x, training: false)
            let half = TinyBlock.dim / 2
            #expect(outcome.statistics.tokens == 30 && outcome.decisions[0].gate.rows == (0..<30).map { Int32($0) })
            let h = tiny.block.entryNorm(Variable(x), tiny.trainingPass).value
            let gate = tiny.block.gates[0].value
            var expected = x.elements
            for row in 0..<30 {
                let part = Array(h.elements[row * half..<(row + 1) * half])
                let logits = (0..<4).map { expert in (0..<half).reduce(0 as Float) { $0 + part[$1] * gate[expert, $1] } }
                #expect(logits.indices.max { logits[$0] < logits[$1] } == Int(outcome.decisions[0].leading[row]))
                let choices = outcome.decisions[0].choices(ofToken: row)
                for choice in choices {
                    let network = try tiny.twin(of: "block.experts.\(outcome.decisions[0].experts[choice])")
                    let input = tiny.context.tensor(part, rows: 1, columns: half)
                    let y = network(
                        Variable(input), addedTo: Variable(tiny.context.zeros(1, half)), tiny.trainingPass, mask: .none)
                    for column in 0..<half {
                        expected[row * half + column] += outcome.decisions[0].weights[choice] * y.value[0, column]
                    }
                }
            }
            try expectClose(outcome.elements, expected, tolerance: 1e-5, "rows")
        }
    }

    /// A sub-token that every expert dropped adds nothing to its part of the row.
    @Test func aDroppedSubTokenAddsNothing() throws {
        try alone { communicator in
            let configuration = Self.configuration([4], merge: false, capacity: 0.5)
            let tiny = try TinyBlock(configuration, group: communicator), x = tiny.tokens(15, seed: 4), half = TinyBlock.dim / 2
            let outcome = try tiny.forward(x), decision = outcome.decisions[0]
            let dropped = (0..<30).filter { row in decision.choices(ofToken: row).allSatisfy { !decision.kept[$0] } }
            #expect(!dropped.isEmpty && dropped.count < 30)
            let added = zip(outcome.elements, x.elements).map { $0 - $1 }
            for row in 0..<30 {
                let part = added[row * half..<(row + 1) * half]
                #expect(part.allSatisfy { abs($0) < 1e-6 } == dropped.contains(row), "sub-token \(row)")
            }
        }
    }

    @Test func distinctExpertsAreCountedByToken() throws {
        var configuration = Self.configuration([3], capacity: nil)
        configuration[BestChoice.self] = BestChoice()
        configuration.routing = BestChoice.routing
        let q: [[Float]] = [[0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.1, 0.3, 0.6]]
        // Sub-tokens 0 and 1 are of one token, 2 and 3 of another, which meets all three.
        let figure = try #require(configuration[MultiHead.self].figures(route(q, configuration)).first)
        #expect(figure == BlockFigure("experts_per_token", 2.5, weight: 2))
        let none = configuration[MultiHead.self].figures(route([], configuration))
        #expect(none == [BlockFigure("experts_per_token", 0, weight: 0)])
    }

    @Test func gradientsAgreeWithDifferences() throws {
        for (head, merge, residual) in [(true, true, false), (true, true, true), (false, true, false), (true, false, true)] {
            let configuration = Self.configuration(head: head, merge: merge, residual: residual)
            try BlockGradients.check(
                configuration, dropout: 0.1, tolerance: 1e-2, "head \(head), merge \(merge), residual \(residual)")
        }
        try BlockGradients.check(Self.configuration([3], heads: 4), dropout: 0, tolerance: 1e-2, "four heads")
    }

    @Test(arguments: BlockWorld.all) func manyRanksAreOne(world: BlockWorld) throws {
        try world.expectOneRank(Self.configuration(world.strata))
    }

    @Test func evaluationKnowsNoCompany() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration(), group: communicator), x = tiny.tokens(12, seed: 31)
            let all = try tiny.forward(x, training: false)
            for token in 0..<12 {
                let single = try tiny.forward(tiny.context.copy(x.rows(token..<token + 1)), training: false)
                try expectClose(all.row(token), single.elements, tolerance: 1e-5, "token \(token)")
            }
            #expect(try tiny.forward(tiny.tokens(0, seed: 1), training: false).elements.isEmpty)
        }
    }

    @Test func keys() throws {
        let read = try WrittenMixture.read(
            #"{"strata": [4], "heads": 4, "head_layer": false, "merge_layer": false, "sub_token_residual": true}"#)
        let method = read[MultiHead.self]
        #expect(method.heads == 4 && !method.hasHeadLayer && !method.hasMergeLayer && method.hasSubTokenResidual)
        #expect(read.rowsPerToken == 4 && read.additions == ["4 heads"])
        #expect(try WrittenMixture.isReadAgain(read))
        #expect(!WrittenMixture.keys(MixtureConfiguration(strata: [4])).contains { $0.contains("head") })
        for key in [#""head_layer": false"#, #""merge_layer": false"#, #""sub_token_residual": true"#] {
            #expect(WrittenMixture.problem("{\"strata\": [4], \(key)}").contains("must be left out with moe.heads: 1"))
        }
    }
}
