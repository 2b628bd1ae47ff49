import Autograd
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// Gates of two layers: by hand, by differences and on several ranks.
@Suite(.hangLimit) struct TwoLayerGateTests {
    static func configuration(_ strata: [Int] = [2, 3], capacity: Float? = nil) -> MixtureConfiguration {
        var configuration = testedMixture(strata, capacity: capacity)
        configuration[TwoLayerGate.self].kind = .mlp
        return configuration
    }

    /// h = (1, .2), M1 the centres of two experts and M2 the identity: .756467 and .145797.
    @Test func logitsByHand() throws {
        let context = ComputeContext(threads: 1), store = ParameterStore()
        let site = GateSite(name: "gate", configuration: Self.configuration([2]), stratum: 0, dim: 2)
        let gate = try #require(Self.configuration([2])[TwoLayerGate.self].gate(of: site, store: store))
        store.materialize(context, seed: 1)
        let values: [String: [Float]] = [
            "gate.1.weight": [0.997519, 0.049752, -0.049752, 0.997519], "gate.2.weight": [1, 0, 0, 1],
        ]
        try store.forEachSlice { name, _, elements, _ in
            for index in elements.indices { elements[index] = values[name]![index] }
        }
        let logits = gate.logits(context.tensor([1, 0.2], rows: 1, columns: 2), context)
        try expectClose(logits.elements, [0.756467, 0.145797], tolerance: 1e-5, "logits")
        #expect(gate.work == 8)
    }

    @Test func gradientsAgreeWithDifferences() throws {
        for capacity in [nil, 1] as [Float?] {
            try BlockGradients.check(
                Self.configuration(capacity: capacity), dropout: 0.1, tolerance: 1e-2, "capacity \(capacity ?? 0)")
        }
    }

    @Test(arguments: BlockWorld.all) func manyRanksAreOne(world: BlockWorld) throws {
        try world.expectOneRank(Self.configuration(world.strata))
    }

    @Test func evaluationKnowsNoCompany() throws { try expectEvaluationKnowsNoCompany(Self.configuration()) }

    @Test func keys() throws {
        let read = try WrittenMixture.read(#"{"strata": [4], "gate": "mlp"}"#)
        #expect(read[TwoLayerGate.self].kind == .mlp && read.additions == ["gates of two layers"])
        #expect(try WrittenMixture.isReadAgain(read))
        #expect(!WrittenMixture.keys(MixtureConfiguration(strata: [4])).contains("gate"))
    }
}
