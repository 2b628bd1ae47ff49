import Autograd
import MixtureMethods
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import _TestSupport

/// Adapters behind one network: the case of the specification, the dense network at the start, differences and several ranks.
@Suite(.hangLimit) struct AdaptersTests {
    static func configuration(
        _ strata: [Int] = [2, 3], scaling: Float = 1, activation: Adapters.Activation = .gelu, capacity: Float? = 1
    ) -> MixtureConfiguration {
        var configuration = testedMixture(strata, capacity: capacity), settings = Adapters.Settings()
        (settings.dim, settings.scaling, settings.activation) = (3, scaling, activation)
        configuration[Adapters.self].settings = settings
        return configuration
    }

    /// u = (1, −1), a = 1: both pre-activations are 1, whose GELU is .841345.
    @Test func adaptersByHand() throws {
        var configuration = MixtureConfiguration(strata: [2]), settings = Adapters.Settings()
        settings.dim = 1
        configuration[Adapters.self].settings = settings
        let context = ComputeContext(threads: 1), store = ParameterStore()
        let site = BlockSite(name: "block", configuration: configuration, dim: 2, ffnDim: 4, dropout: 0)
        let experts = try (0..<2).map {
            try #require(
                configuration[Adapters.self].expert($0, name: "block.experts.\($0)", of: site, store: store))
        }
        store.materialize(context, seed: 1)
        let values: [String: [Float]] = [
            "block.experts.0.adapter.down.weight": [0.5, -0.5], "block.experts.0.adapter.up.weight": [0.2, -0.1],
            "block.experts.1.adapter.down.weight": [1, 0], "block.experts.1.adapter.up.weight": [0, 0.3],
        ]
        try store.forEachSlice { name, _, elements, _ in
            for index in elements.indices { elements[index] = values[name]![index] }
        }
        let u: [Float] = [1, -1]
        let outputs = experts.map { expert in
            var hidden = [Float](repeating: 0, count: expert.hiddenWidth), output: [Float] = [0, 0]
            expert.hidden(u, count: 1, into: &hidden)
            expert.outputs(hidden, count: 1, into: &output)
            return output
        }
        try expectClose(outputs[0], [0.168269, -0.084134], tolerance: 1e-5, "first")
        try expectClose(outputs[1], [0, 0.252403], tolerance: 1e-5, "second")
        let y = (0..<2).map { u[$0] + 0.6 * outputs[0][$0] + 0.4 * outputs[1][$0] }
        try expectClose(y, [1.100961, -0.949519], tolerance: 1e-5, "y")
    }

    /// While U is 0 a block is x + FFN(LayerNorm(x)), whatever is routed or dropped: a single choice of bare weight, too.
    @Test func aBlockBeginsAsTheDenseNetwork() throws {
        for (topK, capacity) in [(1, 0.3), (2, nil)] as [(Int, Float?)] {
            try alone { communicator in
                var configuration = Self.configuration(scaling: 0.25, capacity: capacity)
                (configuration.topK, configuration.gateNormalization) = (topK, topK == 1 ? .never : .afterDrop)
                let tiny = try TinyBlock(configuration, group: communicator), x = tiny.tokens(20, seed: 3)
                let trained = try tiny.forward(x)
                try tiny.fill("up.weight", 0)
                let begun = try tiny.forward(x), h = tiny.block.entryNorm(Variable(x), tiny.trainingPass)
                let dense = try tiny.twin(of: "block.shared")(h, addedTo: Variable(x), tiny.trainingPass, mask: .none)
                try expectClose(begun.elements, dense.value.elements, tolerance: 1e-6, "the block and the network")
                #expect(trained.elements != begun.elements && begun.statistics.requestedCapacity > 1)
            }
        }
    }

    @Test(arguments: [nil, 1] as [Float?], [true, false]) func gradientsAgreeWithDifferences(capacity: Float?, several: Bool)
        throws
    {
        let configuration = Self.configuration(several ? [2, 3] : [4], scaling: 0.7, capacity: capacity)
        try BlockGradients.check(configuration, dropout: 0.1, tolerance: 1e-2, "capacity \(capacity ?? 0), \(several)")
    }

    /// The rectifier of the shared network's hidden layer is that of the adapters too.
    @Test func rectifiersHaveGradients() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration(activation: .relu), group: communicator)
            _ = try tiny.train(tiny.tokens(20, seed: 2), doutput: tiny.tokens(20, seed: 3), lossScale: 1)
            let gradients = try tiny.store.gradients()
            #expect(gradients["block.experts.4.adapter.down.weight"]!.contains { $0 != 0 })
        }
    }

    @Test(arguments: BlockWorld.all) func manyRanksAreOne(world: BlockWorld) throws {
        try world.expectOneRank(Self.configuration(world.strata))
    }

    @Test func evaluationKnowsNoCompany() throws { try expectEvaluationKnowsNoCompany(Self.configuration()) }

    /// With several strata gates go on to read what strata have added to: the second one's routing follows from the adapters.
    @Test func laterGatesReadWhatStrataAdded() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration(capacity: nil), group: communicator), x = tiny.tokens(20, seed: 3)
            let before = try tiny.forward(x, training: false).decisions
            try tiny.fill("up.weight", 0.5)
            let after = try tiny.forward(x, training: false).decisions
            #expect(before[0].experts == after[0].experts)
            #expect(before[1].gate.logits.elements != after[1].gate.logits.elements)
        }
    }

    @Test func keys() throws {
        let read = try WrittenMixture.read(#"{"strata": [4], "adapters": {"dim": 32, "scaling": 0.25, "activation": "relu"}}"#)
        let settings = try #require(read[Adapters.self].settings)
        #expect(settings.dim == 32 && settings.scaling == 0.25 && settings.activation == .relu)
        #expect(read.additions == ["adapters of 32"] && read.expertWidths == nil)
        #expect(try WrittenMixture.isReadAgain(read))
        #expect(try WrittenMixture.read(#"{"strata": [4], "adapters": {}}"#)[Adapters.self].settings == Adapters.Settings())
        #expect(!WrittenMixture.keys(MixtureConfiguration(strata: [4])).contains("adapters"))
        #expect(
            WrittenMixture.problem(#"{"strata": [4], "adapters": {"dim": 0}}"#).contains("moe.adapters.dim must be an integer"))
        #expect(
            WrittenMixture.problem(#"{"strata": [4], "adapters": {"scaling": 0}}"#).contains(
                "moe.adapters.scaling must be a number"))
    }
}
