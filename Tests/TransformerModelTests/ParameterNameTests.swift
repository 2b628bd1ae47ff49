import Autograd
import Collectives
import MixtureMethods
import MixtureOfExperts
import Testing
import TransformerModel
import _TestSupport

/// The names that checkpoints, exports and reference results share.
@Suite struct ParameterNameTests {
    private static func pair(_ name: String) -> [String] { ["\(name).weight", "\(name).bias"] }

    private static func attention(_ name: String) -> [String] {
        ["q", "k", "v", "out"].flatMap { pair("\(name).\($0)") } + pair("\(name)_norm")
    }

    /// Without what takes the place of the feed-forward networks.
    private static let around: [String] =
        ["embedding.weight"] + pair("encoder.norm") + pair("decoder.norm")
        + (0..<2).flatMap {
            attention("encoder.layers.\($0).self_attn") + attention("decoder.layers.\($0).self_attn")
                + attention("decoder.layers.\($0).cross_attn")
        }

    private static func dense(_ layer: String) -> [String] {
        pair("\(layer).ffn_norm") + pair("\(layer).ffn.fc1") + pair("\(layer).ffn.fc2")
    }

    private static func names(_ model: TranslationModel, _ placement: ParameterPlacement) -> [String] {
        model.store.locations(placement).map(\.slice.name)
    }

    @Test func denseModel() throws {
        try alone { communicator in
            let model = try TinyModel.make(nil, group: communicator)
            let expected =
                Self.around
                + ["encoder", "decoder"].flatMap { side in (0..<2).flatMap { Self.dense("\(side).layers.\($0)") } }
            #expect(Self.names(model, .replicated).sorted() == expected.sorted())
            #expect(Self.names(model, .expert).isEmpty)
            #expect(model.mixtureBlocks == 0)
        }
    }

    /// Every second layer is a mixture; experts bear global ids wherever they live.
    @Test(arguments: [1, 2, 3]) func mixtureModel(ranks: Int) throws {
        let held = try SimulatedCluster.run(ranks: ranks) { communicator in
            let model = try TinyModel.make(MixtureConfiguration(strata: [3, 4]), group: communicator)
            let expected =
                Self.around
                + ["encoder", "decoder"].flatMap { side in
                    Self.dense("\(side).layers.0")
                        + (0..<2).flatMap { stratum in
                            Self.pair("\(side).layers.1.moe.norms.\(stratum)") + [
                                "\(side).layers.1.moe.gates.\(stratum).weight"
                            ]
                        }
                }
            #expect(Self.names(model, .replicated).sorted() == expected.sorted())
            #expect(model.mixtureBlocks == 2)
            return Self.names(model, .expert)
        }
        let experts = ["encoder", "decoder"].flatMap { side in
            (0..<7).flatMap { expert in
                ["fc1", "fc2"].flatMap { Self.pair("\(side).layers.1.moe.experts.\(expert).\($0)") }
            }
        }
        #expect(held.flatMap { $0 }.sorted() == experts.sorted())
    }

    @Test func shapesAreOutputsByInputs() throws {
        try alone { communicator in
            let model = try TinyModel.make(MixtureConfiguration(strata: [3, 4]), group: communicator)
            let slices = ParameterPlacement.allCases.flatMap { model.store.locations($0).map(\.slice) }
            let shapes = Dictionary(uniqueKeysWithValues: slices.map { ($0.name, $0.shape) })
            #expect(shapes["embedding.weight"] == [23, 16])
            #expect(shapes["decoder.layers.1.cross_attn.k.weight"] == [16, 16])
            #expect(shapes["encoder.layers.0.ffn.fc1.weight"] == [24, 16])
            #expect(shapes["encoder.layers.0.ffn.fc2.weight"] == [16, 24])
            #expect(shapes["encoder.layers.1.moe.gates.0.weight"] == [7, 16])
            #expect(shapes["encoder.layers.1.moe.gates.1.weight"] == [4, 16])
            #expect(shapes["decoder.layers.1.moe.experts.6.fc2.weight"] == [16, 24])
            #expect(shapes["decoder.layers.1.moe.experts.6.fc2.bias"] == [16])
        }
    }

    @Test(arguments: [(1, 2), (2, 1), (3, 0)]) func whichLayersAreMixtures(every: Int, blocks: Int) throws {
        try alone { communicator in
            var mixture = MixtureConfiguration(strata: [2])
            mixture.every = every
            let model = try TinyModel.make(mixture, group: communicator)
            let layers = Set(Self.names(model, .expert).map { $0.split(separator: ".").prefix(3).joined(separator: ".") })
            #expect(layers.count == 2 * blocks)
            #expect(model.mixtureBlocks == 2 * blocks)
        }
    }

    /// What a rank draws for its parameters depends on their names alone.
    @Test func initialValuesDoNotDependOnTheRank() throws {
        @Sendable func values(_ communicator: any Communicator) throws -> [String: [Float]] {
            let model = TranslationModel(
                configuration: TinyModel.configuration(MixtureConfiguration(strata: [3, 4])), vocabulary: 23,
                context: .init(threads: 1), expertGroup: communicator, seed: 5)
            var result: [String: [Float]] = [:]
            try model.store.forEachSlice { name, _, values, _ in result[name] = Array(values) }
            return result
        }
        let whole = try alone(values)
        for part in try SimulatedCluster.run(ranks: 3, values) {
            for (name, values) in part { #expect(values == whole[name], "\(name)") }
        }
    }
}
