import ConfigurationForms
import MixtureOfExperts

extension ModelConfiguration {
    public static var form: ConfigurationForm<ModelConfiguration> {
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
            .init("moe", \.mixture, .either("none", or: MixtureConfiguration.form)),
        ]
        return .section(fields) { node, path, problems in
            guard let written = node["preset"] else { return ModelConfiguration() }
            return preset.read(written, "\(path).preset", problems).map(ModelConfiguration.init(preset:))
                ?? ModelConfiguration()
        }
    }

    public func validate(_ path: String, _ problems: ConfigurationProblems) {
        problems.require(
            dim % heads == 0, "\(path).heads", "\(path).dim",
            text: "must divide \(path).dim, \(dim), but is \(heads)")
        guard let mixture else { return }
        let layers = max(encoderLayers, decoderLayers)
        problems.require(
            mixture.every <= layers, "\(path).moe.every", "\(path).encoder_layers", "\(path).decoder_layers",
            text: "must be between 1 and the layers, \(layers), but is \(mixture.every): no layer would be a mixture")
        problems.require(
            mixture.experts >= mixture.topK, "\(path).moe.top_k", "\(path).moe.strata",
            text: "must be at most the number of experts, \(mixture.experts), but is \(mixture.topK)")
        mixture.validate("\(path).moe", problems)
    }
}

extension MixtureConfiguration {
    public static var form: ConfigurationForm<MixtureConfiguration> {
        .section(
            [
                .init("every", \.every, .integer(1...1024)),
                .init("strata", \.strata, .listOrOne(of: .integer(1...4096), count: 1...64), isRequired: true),
                .init("top_k", \.topK, .integer(1...2)),
                .init("capacity_factor", \.capacityFactor, .either("none", or: .number(.above(0)))),
                .init("evaluation_capacity_factor", \.evaluationCapacityFactor, .either("none", or: .number(.above(0)))),
                .init("second_expert", \.secondExpert, .choice),
                .init("gate_normalization", \.gateNormalization, .choice),
                .init("aux_loss_weight", \.auxiliaryLossWeight, .number(.atLeast(0))),
                .init("expert_output_masking", \.expertOutputMasking, .number(.from(0, below: 1))),
                // Written only where they are on: checkpoints from before there was such an option are then of the same model.
                .init("stacked", \.stacked, .boolean, isWritten: { $0.stacked }),
                .init(
                    "conditional_routing", \.conditionalRouting, .either("none", or: ConditionalRouting.form),
                    isWritten: { $0.conditionalRouting != nil }),
                .init("routing", \.routing, .choice, isWritten: { $0.routing != .tokenChoice }),
                .init("batch_prioritized", \.batchPrioritized, .boolean, isWritten: { $0.batchPrioritized }),
                .init("router_z_loss", \.routerZLoss, .number(.atLeast(0)), isWritten: { $0.routerZLoss != 0 }),
                .init(
                    "bias_balancing_rate", \.biasBalancingRate, .number(.atLeast(0)), isWritten: { $0.biasBalancingRate != 0 }),
                .init("shared_experts", \.sharedExperts, .integer(0...64), isWritten: { $0.sharedExperts != 0 }),
                .init("gating_dropout", \.gatingDropout, .number(.from(0, below: 1)), isWritten: { $0.gatingDropout != 0 }),
            ],
            over: MixtureConfiguration(strata: [1]))
    }

    /// Options that do not go together.
    public func validate(_ path: String, _ problems: ConfigurationProblems) {
        problems.require(
            routing != .expertChoice || capacityFactor != nil, "\(path).capacity_factor", "\(path).routing",
            text: "must be a number with \(path).routing: expert_choice, where it says how many tokens an expert takes, "
                + "but is none")
        problems.require(
            !batchPrioritized || routing != .expertChoice, "\(path).batch_prioritized", "\(path).routing",
            text:
                "must be false with \(path).routing: expert_choice, whose experts take the tokens that score them best anyway, "
                + "but is true")
        problems.require(
            !batchPrioritized || capacityFactor != nil || evaluationCapacityFactor != nil, "\(path).batch_prioritized",
            "\(path).capacity_factor",
            text: "must be false with \(path).capacity_factor: none, which drops nothing, but is true")
        problems.require(
            biasBalancingRate == 0 || routing == .tokenChoice, "\(path).bias_balancing_rate", "\(path).routing",
            text: "must be 0 unless \(path).routing is token_choice, for it balances what tokens choose, "
                + "but is \(biasBalancingRate)")
        problems.require(
            biasBalancingRate == 0 || topK == 1 || secondExpert != .sampling, "\(path).second_expert",
            "\(path).bias_balancing_rate", "\(path).top_k",
            text: "must be best or random with \(path).bias_balancing_rate, for a second expert that is drawn from the "
                + "scores knows no biases, but is sampling")
    }
}

extension ConditionalRouting {
    public static var form: ConfigurationForm<ConditionalRouting> {
        .section(
            [
                .init("budget", \.budget, .number(.between(0, 1))),
                .init("weight", \.weight, .number(.atLeast(0))),
                .init("gate_dropout", \.gateDropout, .number(.from(0, below: 1))),
            ],
            over: ConditionalRouting())
    }
}
