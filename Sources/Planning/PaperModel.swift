import MixtureOfExperts
import TransformerModel

/// A model of the paper (arXiv 2305.02176) with the figures it gives for it.
struct PaperModel {
    /// The name of its file below configs/m4 or configs/m15.
    let name: String
    let configuration: ModelConfiguration
    /// In millions.
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
                PaperModel("vanilla", .transformerBase, Self.mixture([8]), 148, 192),
                PaperModel("switch", .transformerBase, Self.mixture([8]) { ($0.topK, $0.capacityFactor) = (1, 1) }, 148, 167),
                PaperModel("eom", .transformerBase, Self.mixture([8]) { $0.expertOutputMasking = 0.1 }, 148, 192),
                PaperModel(
                    "cmr", .transformerBase, Self.mixture([8]) { $0.conditionalRouting = ConditionalRouting() }, 161, 217),
                PaperModel("stacking-2x4", .transformerBase, Self.mixture([4, 4]) { $0.stacked = true }, 148, 242),
                PaperModel("smoe-4-4", .transformerBase, Self.mixture([4, 4]), 148, 217),
                PaperModel("stacking-4x2", .transformerBase, Self.mixture([2, 2, 2, 2]) { $0.stacked = true }, 148, 327),
                PaperModel("smoe-2-2-2-2", .transformerBase, Self.mixture([2, 2, 2, 2]), 148, 247),
            ]),
        Corpus(
            name: "m15",
            models: [
                PaperModel("dense", .transformerBig, nil, 209, 506),
                PaperModel("vanilla", .transformerBig, Self.mixture([16]), 963, 606),
                PaperModel("switch", .transformerBig, Self.mixture([16]) { ($0.topK, $0.capacityFactor) = (1, 1) }, 963, 506),
                PaperModel("eom", .transformerBig, Self.mixture([16]) { $0.expertOutputMasking = 0.1 }, 963, 606),
                PaperModel(
                    "cmr", .transformerBig, Self.mixture([16]) { $0.conditionalRouting = ConditionalRouting() }, 1010, 707),
                PaperModel("smoe-4-12", .transformerBig, Self.mixture([4, 12]), 963, 656),
                PaperModel("smoe-12-4", .transformerBig, Self.mixture([12, 4]), 963, 757),
                PaperModel("smoe-8-8", .transformerBig, Self.mixture([8, 8]), 963, 707),
                PaperModel("smoe-4-4-8", .transformerBig, Self.mixture([4, 4, 8]), 963, 724),
                PaperModel("smoe-8-4-4", .transformerBig, Self.mixture([8, 4, 4]), 963, 805),
                PaperModel("smoe-4-4-4-4", .transformerBig, Self.mixture([4, 4, 4, 4]), 963, 825),
                PaperModel("vanilla-32", .transformerBig, Self.mixture([32]), 1770, 606),
            ]),
    ]

    private init(
        _ name: String, _ preset: ModelConfiguration.Preset, _ mixture: MixtureConfiguration?, _ parameters: Double,
        _ flops: Double
    ) {
        self.name = name
        var configuration = ModelConfiguration(preset: preset)
        configuration.mixture = mixture
        self.configuration = configuration
        self.parameters = parameters
        self.flops = flops
    }

    private static func mixture(
        _ strata: [Int], _ change: (inout MixtureConfiguration) -> Void = { _ in }
    ) -> MixtureConfiguration {
        var mixture = MixtureConfiguration(strata: strata)
        change(&mixture)
        return mixture
    }
}
