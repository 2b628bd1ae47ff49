import ConfigurationForms
import MixtureOfExperts

extension ModelConfiguration {
    /// How a model is written; a mixture may use `methods`.
    public static func form(methods: [any MixtureMethod]) -> ConfigurationForm<ModelConfiguration> {
        let preset = ConfigurationForm<Preset>.choice
        let fields: [ConfigurationField<ModelConfiguration>] = [
            .init(readOnly: "preset", allowed: preset.allowed),
            .init("dim", \.dim, .integer(1...65_536)),
            .init("ffn_dim", \.ffnDim, .integer(1...1_048_576)),
            .init("heads", \.heads, .integer(1...1024)),
            .init("encoder_layers", \.encoderLayers, .integer(1...1024)),
            .init("decoder_layers", \.decoderLayers, .integer(1...1024)),
            .init("dropout", \.dropout, .number(.from(0, below: 1))),
            .init("attention_dropout", \.attentionDropout, .number(.from(0, below: 1))),
            .init("compute", \.compute, .choice),
            .init("moe", \.mixture, .either("none", or: MixtureConfiguration.form(methods: methods))),
        ]
        return .section(fields) { node, path, problems in
            guard let written = node["preset"] else { return ModelConfiguration() }
            return preset.read(written, "\(path).preset", problems).map(ModelConfiguration.init(preset:))
                ?? ModelConfiguration()
        }
    }

    /// Beyond these, sizes in bytes and numbers of operations are no longer integers.
    private static let mostParameters = 1e14
    private static let mostExperts = 262_144.0

    /// Without the embedding, norms and gates.
    private var approximateParameters: Double {
        let d = Double(dim), network = 2 * d * Double(ffnDim), blocks = encoderBlocks + decoderBlocks
        let attention = 4 * d * d * Double(encoderLayers + 2 * decoderLayers)
        let networks = Double(encoderLayers + decoderLayers - blocks) + experts
        return attention + networks * network
    }

    /// Of all blocks.
    private var experts: Double {
        guard let mixture else { return 0 }
        return Double(mixture.ofEncoder.experts) * Double(encoderBlocks) + Double(mixture.ofDecoder.experts)
            * Double(decoderBlocks)
    }

    public func validate(_ path: String, _ problems: ConfigurationProblems) {
        problems.require(
            dim % heads == 0, "\(path).heads", "\(path).dim",
            text: "must divide \(path).dim, \(dim), but is \(heads)")
        let parameters = approximateParameters
        problems.require(
            parameters <= Self.mostParameters, path, "\(path).moe.strata", "\(path).dim", "\(path).ffn_dim",
            text: "must have at most \(Self.mostParameters) parameters beside the embedding, but has about \(parameters)")
        guard let mixture else { return }
        problems.require(
            experts <= Self.mostExperts, "\(path).moe.strata", "\(path).moe.every", "\(path).encoder_layers",
            "\(path).decoder_layers",
            text: "must be at most \(Int(Self.mostExperts)) experts over all \(encoderBlocks + decoderBlocks) blocks, but are "
                + "\(Int(experts))")
        let layers = max(encoderLayers, decoderLayers)
        problems.require(
            mixture.every <= layers, "\(path).moe.every", "\(path).encoder_layers", "\(path).decoder_layers",
            text: "must be between 1 and the layers, \(layers), but is \(mixture.every): no layer would be a mixture")
        let fewest = min(mixture.ofEncoder.experts, mixture.ofDecoder.experts)
        problems.require(
            !mixture.rule.readsTopK || fewest >= mixture.topK, "\(path).moe.top_k", "\(path).moe.strata",
            "\(path).moe.decoder_strata",
            text: "must be at most the number of experts, \(fewest), but is \(mixture.topK)")
        let rows = mixture.rowsPerToken
        problems.require(
            rows == 1 || dim % (16 * rows) == 0, "\(path).dim", "\(path).moe.heads",
            text:
                "must be a multiple of 16 × \(path).moe.heads, \(16 * rows), for sub-tokens are of a width that is a multiple of "
                + "16, but is \(dim)")
        mixture.validate("\(path).moe", problems)
    }
}
