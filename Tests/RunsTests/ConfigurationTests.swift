import ConfigurationForms
import DataPipeline
import Foundation
import MixtureMethods
import MixtureOfExperts
import Testing
import TransformerModel

@testable import Runs

@Suite struct ConfigurationTests {
    @Test func dataAloneGivesDefaults() throws {
        let configuration = try RunConfiguration.parse(minimalData, source: "a.yaml")
        #expect(configuration == RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "data/numerals")))
    }

    /// Every key, each with a value that is not its default: a key that sets the wrong property, or none, shows.
    static let everyKey = """
        model:
          dim: 24
          ffn_dim: 48
          heads: 3
          encoder_layers: 4
          decoder_layers: 5
          dropout: 0.25
          attention_dropout: 0.125
          compute: bfloat16
          moe:
            every: 3
            strata: [3, 5, 8]
            top_k: 1
            capacity_factor: 1.5
            evaluation_capacity_factor: 4
            second_expert: random
            gate_normalization: before_drop
            aux_loss_weight: 0.02
            expert_output_masking: 0.1
            stacked: true
            routing: forced_balanced
            capacity_priority: own_probability
            router_z_loss: 0.001
            bias_balancing_rate: 0
            shared_experts: 2
            gating_dropout: 0.05
            conditional_routing: {budget: 0.7, weight: 0.03, gate_dropout: 0.2}
        data:
          format: moses
          path: text files/m4
          prepared: prepared/m4
          directions: [eng-cat, cat-eng]
          vocabulary: 4_000
          character_coverage: 0.99
          tokenizer_sentences: 5000
          temperature: 5
          maximum_length: 100
          empty_lines: refuse
          long_sentences: refuse
          invalid_text: skip
        training:
          updates: 7
          token_groups: 3
          tokens_per_group: 512
          learning_rate: 1e-3
          warmup: 11
          label_smoothing: 0.2
          clip_norm: 1.0
          adam_beta1: 0.8
          adam_beta2: 0.95
          adam_epsilon: 1.0e-8
          seed: 18446744073709551615
          validate_every: 13
          max_minutes: 2.5
        parallel:
          expert_parallel: 3
          replicas: auto
          threads_per_rank: 2
          wire: bfloat16
          communication_thread: off
          interleave: on
          host_relay: on
          watchdog_seconds: 60
          watchdog_abort_seconds: 0
          unreachable_abort_seconds: 90
        checkpoint:
          every: 17
          keep: 19
        """

    @Test func everyKeySetsItsProperty() throws {
        let configuration = try RunConfiguration.parse(Self.everyKey, source: "a.yaml")
        var data = DataConfiguration(format: .moses, path: "text files/m4", prepared: "prepared/m4")
        data.directions = [Direction(source: "eng", target: "cat"), Direction(source: "cat", target: "eng")]
        (data.vocabulary, data.temperature, data.maximumLength) = (4000, 5, 100)
        (data.characterCoverage, data.tokenizerSentences) = (0.99, 5000)
        (data.emptyLines, data.longSentences, data.invalidText) = (.refuse, .refuse, .skip)
        var expected = RunConfiguration(data: data)
        (expected.model.dim, expected.model.ffnDim, expected.model.heads) = (24, 48, 3)
        (expected.model.encoderLayers, expected.model.decoderLayers) = (4, 5)
        (expected.model.dropout, expected.model.attentionDropout, expected.model.compute) = (0.25, 0.125, .bfloat16)
        var mixture = MixtureConfiguration(strata: [3, 5, 8])
        (mixture.every, mixture.topK, mixture.capacityFactor, mixture.evaluationCapacityFactor) = (3, 1, 1.5, 4)
        (mixture.routing, mixture.capacityPriority) = ("forced_balanced", .ownProbability)
        mixture.gateNormalization = .beforeDrop
        mixture[TokenChoice.self].secondExpert = .random
        mixture[LoadBalancing.self].weight = 0.02
        mixture[ExpertOutputMasking.self].probability = 0.1
        mixture[Stacking.self].isStacked = true
        mixture[RouterZLoss.self].weight = 0.001
        mixture[SharedExperts.self].count = 2
        mixture[GatingDropout.self].probability = 0.05
        var settings = ConditionalRouting.Settings()
        (settings.budget, settings.weight, settings.gateDropout) = (0.7, 0.03, 0.2)
        mixture[ConditionalRouting.self].settings = settings
        expected.model.mixture = mixture
        (expected.training.updates, expected.training.tokenGroups, expected.training.tokensPerGroup) = (7, 3, 512)
        (expected.training.learningRate, expected.training.warmup, expected.training.labelSmoothing) = (1e-3, 11, 0.2)
        (expected.training.clipNorm, expected.training.adamBeta1, expected.training.adamBeta2) = (1, 0.8, 0.95)
        (expected.training.adamEpsilon, expected.training.seed) = (1e-8, .max)
        (expected.training.validateEvery, expected.training.maxMinutes) = (13, 2.5)
        (expected.parallel.expertParallel, expected.parallel.threadsPerRank, expected.parallel.wire) = (3, 2, .bfloat16)
        (expected.parallel.communicationThread, expected.parallel.interleave) = (.off, .on)
        (expected.parallel.replicas, expected.parallel.hostRelay) = (.auto, .on)
        (expected.parallel.watchdogSeconds, expected.parallel.watchdogAbortSeconds) = (60, 0)
        expected.parallel.unreachableAbortSeconds = 90
        (expected.checkpoint.every, expected.checkpoint.keep) = (17, 19)
        #expect(configuration == expected)
    }

    @Test func numeralsKeysSetTheirProperties() throws {
        let configuration = try RunConfiguration.parse(
            """
            data:
              format: numerals
              prepared: data/numerals
              directions: [eng-isl]
              numerals:
                below: 5000
                languages: [isl, cat]
                pairs: 300
                pairs_by_language: {isl: 100}
                validation: 10
                test: 20
                seed: 9
            """, source: "a.yaml")
        var expected = NumeralsConfiguration()
        (expected.below, expected.languages, expected.pairs) = (5000, ["isl", "cat"], 300)
        (expected.pairsByLanguage, expected.validation, expected.test, expected.seed) = (["isl": 100], 10, 20, 9)
        #expect(configuration.data.numerals == expected)
    }

    @Test func presetFillsTheModelAndKeysOverrideIt() throws {
        let configuration = try RunConfiguration.parse(
            // The preset comes last here: it is the base wherever it stands.
            "model: {ffn_dim: 8192, preset: transformer-big}\n" + minimalData, source: "a.yaml")
        #expect(configuration.model.dim == 1024 && configuration.model.heads == 16)
        #expect(configuration.model.ffnDim == 8192)
    }

    /// As it was written before methods had files of their own: other names, another order.
    @Test func aConfigurationOfAnEarlierVersionIsRead() throws {
        let configuration = try RunConfiguration.parse(
            """
            model:
              moe:
                every: 2
                strata: [4, 4]
                top_k: 2
                capacity_factor: 2.0
                evaluation_capacity_factor: none
                second_expert: best
                gate_normalization: after_drop
                aux_loss_weight: 0.01
                expert_output_masking: 0.0
                stacked: true
                conditional_routing:
                  budget: 0.7
                  weight: 0.01
                  gate_dropout: 0.1
                batch_prioritized: true
                router_z_loss: 0.001
                bias_balancing_rate: 0.125
                shared_experts: 1
                gating_dropout: 0.25
            \(minimalData)
            """, source: "config.yaml")
        var mixture = MixtureConfiguration(strata: [4, 4])
        mixture.capacityPriority = .firstChoiceProbability
        mixture[TokenChoice.self].secondExpert = .best
        mixture[Stacking.self].isStacked = true
        mixture[ConditionalRouting.self].settings = .init()
        mixture[ConditionalRouting.self].settings?.budget = 0.7
        mixture[RouterZLoss.self].weight = 0.001
        mixture[BiasBalancing.self].rate = 0.125
        mixture[SharedExperts.self].count = 1
        mixture[GatingDropout.self].probability = 0.25
        #expect(configuration.model.mixture == mixture)
        let written = configuration.yaml()
        #expect(
            written.contains("\n    capacity_priority: first_choice_probability\n") && !written.contains("batch_prioritized"))
        #expect(try RunConfiguration.parse(written, source: "config.yaml") == configuration)
    }

    @Test(arguments: [("true", CapacityPriority.firstChoiceProbability), ("false", .tokenOrder)])
    func batchPrioritizedIsAPriority(written: String, priority: CapacityPriority) throws {
        let configuration = try RunConfiguration.parse(
            "model: {moe: {strata: [4, 4], batch_prioritized: \(written)}}\n" + minimalData, source: "a.yaml")
        #expect(configuration.model.mixture?.capacityPriority == priority)
    }

    /// The values that checkpoints are bound to: a method that a run makes no use of changes none, so that checkpoints from before
    /// there was such a method are of the same model.
    @Test func methodsThatAreNotUsedAreNotWritten() throws {
        let configuration = try RunConfiguration.parse("model: {moe: {strata: 8}}\n" + minimalData, source: "a.yaml")
        #expect(
            Set(configuration.values.filter { $0.path.hasPrefix("model.moe.") }.map(\.path)) == [
                "model.moe.every", "model.moe.strata", "model.moe.top_k", "model.moe.capacity_factor",
                "model.moe.evaluation_capacity_factor", "model.moe.second_expert", "model.moe.gate_normalization",
                "model.moe.aux_loss_weight", "model.moe.expert_output_masking",
            ])
    }

    @Test func oneNumberIsOneStratum() throws {
        let configuration = try RunConfiguration.parse("model: {moe: {strata: 8}}\n" + minimalData, source: "a.yaml")
        #expect(configuration.model.mixture?.strata == [8])
    }

    @Test func noneAndAutoStandForNoValue() throws {
        let configuration = try RunConfiguration.parse(
            "model: {moe: {strata: [4, 4], capacity_factor: none}}\nparallel: {expert_parallel: auto}\n" + minimalData,
            source: "a.yaml")
        #expect(configuration.model.mixture?.capacityFactor == .some(nil))
        #expect(configuration.parallel.expertParallel == nil)
        let dense = try RunConfiguration.parse("model: {moe: none}\n" + minimalData, source: "a.yaml")
        #expect(dense.model.mixture == nil)
    }

    @Test func emptySectionsAreDefaults() throws {
        let configuration = try RunConfiguration.parse(
            "model:\ntraining: # all of it below is commented out\n" + minimalData, source: "a")
        #expect(configuration.model == ModelConfiguration())
    }

    @Test func aLanguageThatYAMLTakesForABooleanIsText() throws {
        let configuration = try RunConfiguration.parse(
            "data: {format: moses, path: p, prepared: no, directions: [no-en]}", source: "a.yaml")
        #expect(configuration.data.prepared == "no")
        #expect(configuration.data.directions == [Direction(source: "no", target: "en")])
    }

    @Test func whatIsWrittenLoadsEqual() throws {
        var texts = [
            Self.everyKey, minimalData,
            "model: {preset: transformer-big, moe: {strata: 4, capacity_factor: none}}\n" + minimalData,
        ]
        texts.append(
            "data: {format: numerals, prepared: p, numerals: {languages: [isl, cat], pairs_by_language: {cat: 1, isl: 2}}}")
        for text in texts {
            let configuration = try RunConfiguration.parse(text, source: "a.yaml")
            let written = configuration.yaml()
            #expect(try RunConfiguration.parse(written, source: "config.yaml") == configuration, "\(written)")
        }
    }

    @Test(arguments: [
        "with space", "null", "~", "- item", "a: b", "#no comment", "quote\" and \\", "tab\tand\nline",
        "\u{7F}\u{85}\u{FEFF}\u{200B}",
        "caf\u{E9}/\u{4E2D}\u{6587}/\u{1F600}", "'", "[x]", "*alias", "&anchor", "!tag", "%", "@", "`", "1e5", ".inf", " ",
        "é\u{301}",
    ])
    func anyFolderNameIsWrittenSoThatItLoads(_ name: String) throws {
        let configuration = RunConfiguration(data: DataConfiguration(format: .tsv, path: name, prepared: name))
        let loaded = try RunConfiguration.parse(configuration.yaml(), source: "config.yaml")
        #expect(loaded.data.prepared.unicodeScalars.elementsEqual(name.unicodeScalars))
        #expect(loaded == configuration)
    }

    @Test func everyFloatIsWrittenExactly() throws {
        var configuration = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p"))
        for rate in [Float.leastNonzeroMagnitude, 1e-7, 0.1, 1 / 3, 16_777_215, 1e10, .greatestFiniteMagnitude] {
            configuration.training.learningRate = rate
            #expect(try RunConfiguration.parse(configuration.yaml(), source: "config.yaml").training.learningRate == rate)
        }
    }

    @Test func differencesNameWhatChanged() throws {
        let old = try RunConfiguration.parse(Self.everyKey, source: "a.yaml")
        #expect(old.differences(from: old) == [])
        var new = old
        new.training.learningRate = 0.5
        new.model.mixture?.strata = [2, 2]
        new.parallel.expertParallel = nil
        #expect(
            new.differences(from: old) == [
                "model.moe.strata: [3, 5, 8] → [2, 2]", "training.learning_rate: 0.001 → 0.5",
                "parallel.expert_parallel: 3 → auto",
            ])
        new = old
        new.model.mixture = nil
        #expect(new.differences(from: old).contains("model.moe.strata: [3, 5, 8] → not set"))
    }

    /// The configurations that come with the project.
    @Test func configurationsOfThePaperLoad() throws {
        let configs = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("configs")
        func model(_ name: String) throws -> ModelConfiguration {
            let configuration = try RunConfiguration.load(file: configs.appendingPathComponent("m4/\(name).yaml").path)
            #expect(configuration.training.tokenGroups * configuration.training.tokensPerGroup == 13_312)
            #expect(configuration.data.path == "data/m4" && configuration.training.learningRate == 8e-4)
            return configuration.model
        }
        #expect(try model("dense") == ModelConfiguration())
        #expect(try model("vanilla").mixture == MixtureConfiguration(strata: [8]))
        #expect(try model("switch").mixture?.strata == [8] && model("switch").mixture?.topK == 1)
        #expect(try model("eom").mixture?[ExpertOutputMasking.self].probability == 0.1)
        #expect(try model("cmr").mixture?[ConditionalRouting.self].settings == .init())
        for (name, strata) in [("stacking-2x4", [4, 4]), ("stacking-4x2", [2, 2, 2, 2])] {
            var stacked = MixtureConfiguration(strata: strata)
            stacked[Stacking.self].isStacked = true
            #expect(try model(name).mixture == stacked)
        }
        #expect(try model("smoe-4-4").mixture == MixtureConfiguration(strata: [4, 4]))
        #expect(try model("smoe-2-2-2-2").mixture == MixtureConfiguration(strata: [2, 2, 2, 2]))
    }
}

/// A routing rule that the library does not know.
private struct LastExpert: RoutingRule {
    static let routing = "last_expert"

    var isReversed = false

    static var fields: [ConfigurationField<Self>] { [.init("last_expert_reversed", \.isReversed, .boolean)] }

    func choose(_ gate: GateScores) -> RoutingChoices { gate.bestChoices(1) }
}

/// A program of its own has methods of its own.
@Suite struct OwnMethodTests {
    private static let text = """
        model: {moe: {strata: 8, routing: last_expert, last_expert_reversed: true}}
        data: {format: numerals, prepared: p}
        """

    @Test func theirKeysAreReadAndWritten() throws {
        let methods: [any MixtureMethod] = allMethods + [LastExpert()]
        let configuration = try RunConfiguration.parse(Self.text, source: "a.yaml", methods: methods)
        #expect(configuration.model.mixture?.rule is LastExpert)
        #expect(configuration.model.mixture?[LastExpert.self].isReversed == true)
        #expect(configuration.values.contains { $0.path == "model.moe.last_expert_reversed" && $0.value == "true" })
        #expect(
            try RunConfiguration.parse(configuration.yaml(), source: "config.yaml", methods: methods) == configuration)
    }

    @Test func nobodyElseKnowsThem() throws {
        let error = try #require(throws: ConfigurationError.self) {
            try RunConfiguration.parse(Self.text, source: "a.yaml")
        }
        #expect("\(error)".contains("last_expert_reversed is not a key"), "\(error)")
    }
}
