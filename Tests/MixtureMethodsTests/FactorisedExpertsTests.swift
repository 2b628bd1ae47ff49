import Autograd
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// Experts as chains of tensors with the middle one in common: blocks by differences and on several ranks.
@Suite(.hangLimit) struct FactorisedExpertsTests {
    static func configuration(
        _ strata: [Int] = [2, 3], capacity: Float? = 1, truncation: Int? = nil, sharing: FactorisedExperts.Sharing = .block
    ) -> MixtureConfiguration {
        var configuration = testedMixture(strata, capacity: capacity), settings = FactorisedExperts.Settings()
        (settings.truncation, settings.sharing) = (truncation, sharing)
        configuration[FactorisedExperts.self].settings = settings
        return configuration
    }

    @Test func expertsShareTheCentralTensors() throws {
        try alone { communicator in
            let tiny = try TinyBlock(Self.configuration(), group: communicator)
            var shapes: [String: Int] = [:]
            try tiny.store.forEachSlice { name, _, values, _ in shapes[name] = values.count }
            // 8 = 1 · 2 · 2 · 2 · 1 and 6 = 1 · 1 · 3 · 2 · 1.
            #expect(shapes["block.central.fc1"] == shapes["block.central.fc2"] && shapes["block.central.fc1"] == 2 * 6 * 4)
            #expect(shapes["block.experts.4.fc1.mpo.2"] == 4 && shapes["block.experts.4.fc2.mpo.4"] == 16)
            #expect(shapes["block.experts.0.fc1.weight"] == nil, "matrices are not stored")
            #expect(tiny.store.derived.count == 10 && tiny.store.count == shapes.values.reduce(0, +))
            let apart = try TinyBlock(Self.configuration(sharing: .stratum), group: communicator)
            var names: Set<String> = []
            try apart.store.forEachSlice { name, _, _, _ in names.insert(name) }
            #expect(names.contains("block.strata.1.central.fc2") && !names.contains("block.central.fc1"))
        }
    }

    /// From nothing a matrix has the size of Xavier's, and experts differ.
    @Test func matricesAreDrawnAsXaviersAre() throws {
        let configuration = Self.configuration([4])
        let context = ComputeContext(threads: 2), store = ParameterStore()
        let site = BlockSite(name: "block", configuration: configuration, dim: 32, ffnDim: 96, dropout: 0)
        for id in 0..<4 {
            _ = configuration[FactorisedExperts.self].expert(id, name: "block.experts.\(id)", of: site, store: store)
        }
        store.materialize(context, seed: 4)
        let expected = 6 / Double(128) / 3 * Double(32 * 96)
        var matrices: [[Float]] = []
        for weight in store.derived where weight.matrix.rows == 96 {
            let square = weight.matrix.value.elements.reduce(0) { $0 + Double($1) * Double($1) }
            #expect(abs(square / expected - 1) < 0.1, "\(square), \(expected)")
            matrices.append(weight.matrix.value.elements)
        }
        #expect(matrices.count == 4 && Set(matrices).count == 4)
    }

    @Test(arguments: [nil, 2] as [Int?], FactorisedExperts.Sharing.allCases)
    func gradientsAgreeWithDifferences(truncation: Int?, sharing: FactorisedExperts.Sharing) throws {
        try BlockGradients.check(
            Self.configuration(truncation: truncation, sharing: sharing), dropout: 0.1, tolerance: 1e-2,
            "bonds up to \(truncation ?? 0), by \(sharing)")
    }

    @Test(arguments: BlockWorld.all) func manyRanksAreOne(world: BlockWorld) throws {
        try world.expectOneRank(Self.configuration(world.strata))
        try world.expectOneRank(Self.configuration(world.strata, truncation: 3, sharing: .stratum))
    }

    @Test func evaluationKnowsNoCompany() throws { try expectEvaluationKnowsNoCompany(Self.configuration()) }

    /// An expert without rows has no gradient.
    @Test func anExpertWithoutRowsHasNoGradient() throws {
        try alone { communicator in
            var configuration = Self.configuration([3], capacity: nil)
            configuration.topK = 1
            let tiny = try TinyBlock(configuration, group: communicator)
            tiny.force(gate: 0, to: 1)
            _ = try tiny.train(tiny.tokens(20, seed: 2), doutput: tiny.tokens(20, seed: 3), lossScale: 0)
            try tiny.store.handOnGradients(tiny.context, experts: communicator, partSize: communicator.size)
            let gradients = try tiny.store.gradients()
            #expect(gradients["block.experts.0.fc1.mpo.1"]!.allSatisfy { $0 == 0 })
            #expect(gradients["block.experts.1.fc1.mpo.1"]!.contains { $0 != 0 })
            #expect(gradients["block.central.fc1"]!.contains { $0 != 0 })
        }
    }

    @Test func keys() throws {
        let read = try WrittenMixture.read(
            #"{"strata": [4], "mpo": {"share": "stratum", "truncate": 64, "central_mask": 0.5}}"#)
        let settings = try #require(read[FactorisedExperts.self].settings)
        #expect(settings.sharing == .stratum && settings.truncation == 64 && settings.centralMask == 0.5)
        #expect(read.additions == ["MPO of 64"])
        #expect(try WrittenMixture.isReadAgain(read))
        let defaults = try WrittenMixture.read(#"{"strata": [4], "mpo": {}}"#)
        #expect(defaults[FactorisedExperts.self].settings == FactorisedExperts.Settings() && defaults.additions == ["MPO"])
        #expect(try WrittenMixture.isReadAgain(defaults))
        #expect(!WrittenMixture.keys(MixtureConfiguration(strata: [4])).contains("mpo"))
        #expect(WrittenMixture.problem(#"{"strata": [4], "mpo": {"truncate": 0}}"#).contains("moe.mpo.truncate must be"))
    }
}
