import ConfigurationForms

extension MixtureConfiguration {
    /// How a mixture is written: the frame's keys, then those of each of `methods`.
    public static func form(methods: [any MixtureMethod]) -> ConfigurationForm<MixtureConfiguration> {
        let initial = MixtureConfiguration(strata: [1], methods: methods)
        let frame: [ConfigurationField<MixtureConfiguration>] = [
            .init("every", \.every, .integer(1...1024)),
            .init("strata", \.strata, .listOrOne(of: .integer(1...65_536), count: 1...64), isRequired: true),
            .init(
                "decoder_strata", \.decoderStrata, .either("none", or: .listOrOne(of: .integer(1...65_536), count: 1...64)),
                isWritten: { $0.decoderStrata != nil }),
            .init(
                "routing", \.routing, .name(among: initial.routings), isWritten: { $0.routing != initial.routing }),
            .init("top_k", \.topK, .integer(1...65_536), isWritten: { $0.rule.readsTopK }),
            .init("capacity_factor", \.capacityFactor, .either("none", or: .number(.above(0)))),
            .init("evaluation_capacity_factor", \.evaluationCapacityFactor, .either("none", or: .number(.above(0)))),
            .init("capacity_priority", \.capacityPriority, .choice, isWritten: { $0.capacityPriority != .tokenOrder }),
            // What `capacity_priority: first_choice_probability` was called; still read.
            .init("batch_prioritized", \.isBatchPrioritized, .boolean, isWritten: { _ in false }),
            .init("gate_normalization", \.gateNormalization, .choice, isWritten: { $0.rule.readsNormalization }),
            .init("stratum_scale", \.scalesStrata, .boolean, isWritten: { $0.scalesStrata }),
        ]
        return .section(frame + methods.flatMap { Self.fields(of: $0) }, over: initial)
    }

    private var isBatchPrioritized: Bool {
        get { capacityPriority == .firstChoiceProbability }
        set { if newValue { capacityPriority = .firstChoiceProbability } }
    }

    private static func fields<Method: MixtureMethod>(of _: Method) -> [ConfigurationField<MixtureConfiguration>] {
        Method.fields.map { $0.lifted(get: { $0[Method.self] }, set: { $0[Method.self] = $1 }) }
    }

    /// Values that do not go together.
    public func validate(_ path: String, _ problems: ConfigurationProblems) {
        problems.require(
            !problems.root.contains("\(path).batch_prioritized") || !problems.root.contains("\(path).capacity_priority"),
            "\(path).batch_prioritized", "\(path).capacity_priority",
            text: "must be left out beside \(path).capacity_priority: it is the earlier name of first_choice_probability there")
        problems.require(
            capacityPriority == .tokenOrder || rule.choicesQueue, "\(path).capacity_priority", "\(path).batch_prioritized",
            "\(path).routing",
            text: "must be token_order with \(path).routing: \(routing), whose experts take the tokens that score them best "
                + "anyway, but is \(capacityPriority.rawValue)")
        problems.require(
            capacityPriority == .tokenOrder || capacityFactor != nil || evaluationCapacityFactor != nil,
            "\(path).capacity_priority", "\(path).batch_prioritized", "\(path).capacity_factor",
            text: "must be token_order with \(path).capacity_factor: none, which drops nothing, but is "
                + capacityPriority.rawValue)
        problems.require(
            rule.readsTopK || !problems.root.contains("\(path).top_k"), "\(path).top_k", "\(path).routing",
            text: "must be left out with \(path).routing: \(routing), whose tokens take as many experts as their scores say, "
                + "but is \(topK)")
        problems.require(
            rule.readsNormalization || gateNormalization == .never || !problems.root.contains("\(path).gate_normalization"),
            "\(path).gate_normalization", "\(path).routing",
            text: "must be never, or be left out, with \(path).routing: \(routing), but is \(gateNormalization.rawValue)")
        problems.require(
            !scalesStrata || strataOrder == .stratified, "\(path).stratum_scale",
            text: "must be false where strata are stacked: there only the last one adds to the tokens")
        for name in Set(methods.flatMap(\.blockNames)).sorted() {
            let users = methods.filter { $0.blockNames.contains(name) }.map { $0.addition(to: self) ?? "\(type(of: $0))" }
            problems.require(
                users.count == 1, path,
                text: "must not have \(users.joined(separator: " and ")) together: the parameters of each are named \(name)")
        }
        for method in methods { method.validate(ofEncoder, path, problems) }
        guard let decoderStrata else { return }
        problems.require(
            decoderStrata.count == strata.count, "\(path).decoder_strata", "\(path).strata",
            text: "must have as many strata as \(path).strata, \(strata.count), but has \(decoderStrata.count)")
        problems.require(
            pool == nil, "\(path).decoder_strata", "\(path).expert_pool",
            text: "must be none where experts come and go (\(path).expert_pool): each block has its own then")
        problems.require(
            expertWidths == nil, "\(path).decoder_strata", "\(path).expert_widths",
            text: "must be none where experts are of widths of their own (\(path).expert_widths)")
        for method in methods { method.validate(ofDecoder, path, problems) }
    }
}
