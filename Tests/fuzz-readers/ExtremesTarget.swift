import Collectives
import DataPipeline
import Foundation
import MixtureOfExperts
import Planning
import Runs
import TensorCore
import Training

/// A sound configuration some of whose keys have extreme values: it is refused, or planned, and, where that costs little,
/// prepared and trained for an update.
enum ExtremesTarget {
    private static let base = """
        model: {dim: 8, ffn_dim: 16, heads: 2, encoder_layers: 2, decoder_layers: 2, moe: {strata: [2, 2]}}
        data:
          format: numerals
          prepared: nowhere
          vocabulary: 100
          numerals: {below: 300, languages: [cat], pairs: 60, validation: 6, test: 6}
        training: {updates: 3, token_groups: 2, tokens_per_group: 120, warmup: 2, validate_every: 1}

        """

    private static let values =
        [
            "0", "1", "2", "3", "7", "64", "100", "1024", "4096", "65536", "1_000_000", "1048576", "16777216", "1_000_000_000",
            "2147483647", "2147483648", "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551615",
            "-1",
        ] + [
            "5e-324", "1e-310", "1e-45", "1.2e-38", "1e-20", "0.0005", "0.007", "0.5", "0.98", "0.9999999", "0.99999999999",
            "1.0",
            "1e7", "9.3e18", "1e38", "3.4e38", "3.5e38", "1e300", "1.79e308", "-0.0",
        ] + [
            "auto", "none", "true", "false", "token_choice", "expert_choice", "forced_balanced", "token_order",
            "first_choice_probability", "own_probability", "after_drop", "before_drop", "never", "best", "sampling", "random",
            "transformer-base", "transformer-big", "skip", "refuse", "[]", "{}", "[1, 1]", "[65536, 1]", "[eng-cat]", "[isl]",
            "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]", "{cat: 1}", "numerals", "moses",
        ]

    private static let keys = RunConfiguration.form().keys("").filter { $0 != "data.prepared" && $0 != "data.path" }

    static func run(_ random: inout Mutator, _ folder: String) throws -> Bool {
        let path = "\(folder)/extremes.yaml"
        try Data(base.utf8).write(to: URL(fileURLWithPath: path))
        var overrides = ["\(random.pick(keys))=\(random.pick(values))"]
        // Most values are not allowed where they are drawn; those that are stay.
        for _ in 0..<8 where (try? RunConfiguration.load(file: path, overrides: overrides)) == nil || random.below(2) == 0 {
            let next = "\(random.pick(keys))=\(random.pick(values))"
            let isSound = (try? RunConfiguration.load(file: path, overrides: overrides)) != nil
            overrides = isSound ? overrides + [next] : [next]
            if isSound, (try? RunConfiguration.load(file: path, overrides: overrides)) == nil { overrides.removeLast() }
        }
        let configuration = try RunConfiguration.load(file: path, overrides: overrides)
        guard try RunConfiguration.parse(configuration.yaml(), source: "written") == configuration else {
            FuzzReaders.fail("read again, it is another configuration: \(overrides)")
        }
        let measured = [nil, 1, 2.5, 64][random.below(4)]
        let plan = try ModelPlan(
            configuration.model, vocabulary: configuration.data.vocabulary,
            requestedCapacity: configuration.model.mixture == nil ? nil : measured)
        let rank = try RankPlan(plan, configuration, ranks: random.pick([1, 1, 1, 2, 6, 1_000_000]))
        let report = PlanReport(model: plan, rank: rank, isMeasured: measured != nil)
        _ = (report.text, try report.json())
        if overrides.contains(where: { $0.hasPrefix("data.") }), random.below(8) == 0 { try prepare(configuration, folder) }
        try train(configuration, plan)
        return true
    }

    private static func prepare(_ configuration: RunConfiguration, _ folder: String) throws {
        var data = configuration.data
        guard data.format == .numerals, data.numerals.pairs <= 200, data.numerals.validation + data.numerals.test <= 5000 else {
            return
        }
        data.prepared = "\(folder)/prepared"
        try? FileManager.default.removeItem(atPath: data.prepared)
        _ = try PreparedCorpus.prepare(configuration: data, threads: 1)
    }

    /// What models are trained on, whatever was asked for.
    private static let corpus: PreparedCorpus = {
        let folder = NSTemporaryDirectory() + "fuzz-corpus-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var data = DataConfiguration(format: .numerals, prepared: folder)
        (data.vocabulary, data.numerals.below, data.numerals.languages, data.numerals.pairs) = (100, 300, ["cat", "isl"], 60)
        (data.numerals.validation, data.numerals.test, data.numerals.pairsByLanguage) = (6, 6, ["isl": 3])
        return try! PreparedCorpus(path: PreparedCorpus.prepare(configuration: data, threads: 1).path)
    }()

    private static func train(_ requested: RunConfiguration, _ plan: ModelPlan) throws {
        var configuration = requested
        configuration.data.directions = corpus.directions
        let training = configuration.training
        let sampler = try configuration.sampler(of: corpus)
        // The groups of late updates too, if they are short.
        if sampler.candidates < 5000 { _ = sampler.group(update: training.updates, index: training.tokenGroups - 1) }
        guard plan.parameters < 200_000, training.tokenGroups <= 4, training.tokensPerGroup <= 1024,
            configuration.model.encoderLayers + configuration.model.decoderLayers <= 16
        else { return }
        let world = try SimulatedCluster.run(ranks: 1) { [configuration] world in
            let run = try TrainingRun(
                configuration, vocabulary: corpus.vocabularySize, world: world, context: ComputeContext(threads: 1))
            let trainer = try run.trainer(on: sampler)
            for _ in 0..<2 { _ = try trainer.step() }
            if let heldOut = try configuration.heldOut(of: corpus) { _ = try trainer.validate(heldOut) }
            return world.size
        }
        precondition(world == [1])
    }
}
