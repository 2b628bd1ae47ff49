import ConfigurationForms
import MixtureMethods
import MixtureOfExperts
import TransformerModel

/// A model of the paper (arXiv 2305.02176) with the figures it gives for it.
struct PaperModel {
    /// The name of its file below configs/m4 or configs/m15.
    let name: String
    let configuration: ModelConfiguration
    /// Parameters, in millions.
    let parameters: Double
    /// Forward operations per token, in millions.
    let flops: Double

    static let vocabulary = 32_000

    /// Models trained on the same data.
    struct Corpus {
        let name: String
        /// The dense model first: the others' operations are told by what they add to its.
        let models: [PaperModel]
    }

    static let corpora = [
        Corpus(
            name: "m4",
            models: [
                PaperModel("dense", .transformerBase, nil, 60, 167),
                PaperModel("vanilla", .transformerBase, [8], 148, 192),
                PaperModel("switch", .transformerBase, [8], 148, 167, ["top_k": .plain("1"), "capacity_factor": .plain("1")]),
                PaperModel("eom", .transformerBase, [8], 148, 192, ["expert_output_masking": .plain("0.1")]),
                PaperModel(
                    "cmr", .transformerBase, [8], 161, 217, ["conditional_routing": .map([])]),
                PaperModel("stacking-2x4", .transformerBase, [4, 4], 148, 242, ["stacked": .plain("true")]),
                PaperModel("smoe-4-4", .transformerBase, [4, 4], 148, 217),
                PaperModel("stacking-4x2", .transformerBase, [2, 2, 2, 2], 148, 327, ["stacked": .plain("true")]),
                PaperModel("smoe-2-2-2-2", .transformerBase, [2, 2, 2, 2], 148, 247),
            ].compactMap(\.self)),
        Corpus(
            name: "m15",
            models: [
                PaperModel("dense", .transformerBig, nil, 209, 506),
                PaperModel("vanilla", .transformerBig, [16], 963, 606),
                PaperModel("switch", .transformerBig, [16], 963, 506, ["top_k": .plain("1"), "capacity_factor": .plain("1")]),
                PaperModel("eom", .transformerBig, [16], 963, 606, ["expert_output_masking": .plain("0.1")]),
                PaperModel(
                    "cmr", .transformerBig, [16], 1010, 707, ["conditional_routing": .map([])]),
                PaperModel("smoe-4-12", .transformerBig, [4, 12], 963, 656),
                PaperModel("smoe-12-4", .transformerBig, [12, 4], 963, 757),
                PaperModel("smoe-8-8", .transformerBig, [8, 8], 963, 707),
                PaperModel("smoe-4-4-8", .transformerBig, [4, 4, 8], 963, 724),
                PaperModel("smoe-8-4-4", .transformerBig, [8, 4, 4], 963, 805),
                PaperModel("smoe-4-4-4-4", .transformerBig, [4, 4, 4, 4], 963, 825),
                PaperModel("vanilla-32", .transformerBig, [32], 1770, 606),
            ].compactMap(\.self)),
    ]

    /// `strata` nil: dense; `settings`: further keys below `model.moe`. Nil if a key belongs to a method that the program lacks.
    private init?(
        _ name: String, _ preset: ModelConfiguration.Preset, _ strata: [Int]?, _ parameters: Double, _ flops: Double,
        _ settings: [String: ConfigurationNode.Content] = [:]
    ) {
        self.name = name
        var configuration = ModelConfiguration(preset: preset)
        if let strata {
            var entries = settings
            entries["strata"] = .list(strata.map { ConfigurationNode(written: .plain("\($0)")) })
            let node = ConfigurationNode(
                written: .map(entries.map { .init(key: $0.key, node: ConfigurationNode(written: $0.value)) }))
            guard let mixture = try? MixtureConfiguration.form(methods: allMethods).read(root: node)
            else { return nil }
            configuration.mixture = mixture
        }
        self.configuration = configuration
        self.parameters = parameters
        self.flops = flops
    }
}

extension ConfigurationNode.Content {
    fileprivate static func plain(_ text: String) -> Self { .scalar(text, quoted: false) }
}
