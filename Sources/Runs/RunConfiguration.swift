import Checkpoints
import ConfigurationForms
import DataPipeline
import MixtureMethods
import MixtureOfExperts
import Training
import TransformerModel

/// Everything that decides a training run.
public struct RunConfiguration: Equatable, Sendable {
    public var model = ModelConfiguration()
    public var data: DataConfiguration
    public var training = TrainingConfiguration()
    public var parallel = ParallelConfiguration()
    public var checkpoint = CheckpointConfiguration()

    public init(data: DataConfiguration) { self.data = data }

    /// How a run is written; a mixture may use `methods`.
    public static func form(methods: [any MixtureMethod] = allMethods) -> ConfigurationForm<RunConfiguration> {
        .section(
            [
                .init("model", \.model, ModelConfiguration.form(methods: methods)),
                .init("data", \.data, DataConfiguration.form, isRequired: true),
                .init("training", \.training, TrainingConfiguration.form),
                .init("parallel", \.parallel, ParallelConfiguration.form),
                .init("checkpoint", \.checkpoint, CheckpointConfiguration.form),
            ],
            over: RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "")))
    }

    /// How this run is written, its mixture's methods included.
    public var form: ConfigurationForm<RunConfiguration> { Self.form(methods: model.mixture?.methods ?? allMethods) }

    /// Reads a YAML file, with what it inherits, under overrides of the form `path.to.key=value`, later ones last, and over
    /// `defaults` of that form, each of which stands where neither says anything. A mixture may use `methods`: those of the
    /// library and, in a program of yours, your own.
    ///
    /// - Throws: `ConfigurationError` with every problem found: a file that cannot be read, unknown keys, wrong types, values
    ///   out of range, values that do not go together.
    public static func load(
        file: String, overrides: [String] = [], defaults: [String] = [], methods: [any MixtureMethod] = allMethods
    ) throws -> RunConfiguration {
        var problems: [ConfigurationError.Problem] = []
        var root: ConfigurationNode?
        do { root = try ConfigurationFile.load(file) } catch let error as ConfigurationError { problems += error.problems }
        for override in overrides {
            do { root = root?.overridden(by: try ConfigurationOverride.parse(override)) } catch let error as ConfigurationError
            {
                problems += error.problems
            }
        }
        guard var root, problems.isEmpty else { throw ConfigurationError(problems) }
        for value in defaults { root = try ConfigurationOverride.parse(value).overridden(by: root) }
        return try RunConfiguration(root, methods: methods)
    }

    /// A configuration from YAML text, as `yaml()` writes it; `source` names it in errors.
    public static func parse(
        _ text: String, source: String, methods: [any MixtureMethod] = allMethods
    ) throws -> RunConfiguration {
        let origin = ConfigurationOrigin(source: source, line: nil)
        guard let root = try ConfigurationText.parse(text, source: source) else {
            throw ConfigurationError(origin, "must hold a configuration, but is empty; at least data is required")
        }
        return try RunConfiguration(root, methods: methods)
    }

    private init(_ root: ConfigurationNode, methods: [any MixtureMethod]) throws {
        self = try Self.form(methods: methods).read(root: root) { configuration, problems in
            // Without a data section there is nothing that its values could contradict.
            if root.contains("data") { configuration.data.validate("data", problems) }
            configuration.model.validate("model", problems)
            configuration.training.validate("training", problems)
            configuration.requireCountableChoices(problems)
            problems.require(
                configuration.model.mixture?.pool == nil || configuration.training.trained == .all, "training.train",
                "model.moe.expert_pool",
                text: "must be all where experts come and go (model.moe.expert_pool): those that come are trained")
            problems.require(
                configuration.model.mixture?.pool == nil || configuration.parallel.replicas == .off, "parallel.replicas",
                "model.moe.expert_pool", text: "must be off where experts come and go (model.moe.expert_pool), but is auto")
            if let mixture = configuration.model.mixture, let ranks = configuration.parallel.expertParallel {
                let limit = mixture.expertParallelLimit
                problems.require(
                    ranks <= limit.most, "parallel.expert_parallel", "model.moe.strata", "model.moe.decoder_strata",
                    "model.moe.expert_pool.minimum", text: "\(limit.text), but is \(ranks)")
            }
        }
    }

    /// A token group's choices of experts are counted in 32 bits.
    private func requireCountableChoices(_ problems: ConfigurationProblems) {
        guard let mixture = model.mixture else { return }
        let experts = mixture.widest.experts
        let each = mixture.rule.choicesQueue && mixture.rule.readsTopK ? min(mixture.topK, experts) : experts
        let most = Int(Int32.max) / max(each, 1)
        problems.require(
            training.tokensPerGroup <= most, "training.tokens_per_group", "model.moe.top_k", "model.moe.strata",
            text: "must be at most \(most) where a token may have \(each) experts, but is \(training.tokensPerGroup)")
    }

    /// The whole configuration, defaults and presets written out. Loading it gives an equal one.
    public func yaml() -> String {
        guard case .map(let sections) = form.write(self) else {
            preconditionFailure("a configuration is written as a map")
        }
        return ConfigurationWriter.yaml(sections)
    }

    /// Every key's full path and value, as text.
    public var values: [(path: String, value: String)] {
        guard case .map(let sections) = form.write(self) else {
            preconditionFailure("a configuration is written as a map")
        }
        return ConfigurationWriter.values(sections, under: "")
    }

    /// What differs between an earlier configuration and this one, a line a key: `path: old → new`.
    public func differences(from earlier: RunConfiguration) -> [String] {
        let old = earlier.values
        let new = values
        let oldValues = Dictionary(uniqueKeysWithValues: old.map { ($0.path, $0.value) })
        let newPaths = Set(new.map(\.path))
        let changed = new.filter { oldValues[$0.path] != $0.value }
        let removed = old.filter { !newPaths.contains($0.path) }
        return changed.map { "\($0.path): \(oldValues[$0.path] ?? "not set") → \($0.value)" }
            + removed.map { "\($0.path): \($0.value) → not set" }
    }
}
