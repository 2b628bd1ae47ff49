import ConfigurationForms
import Testing
import _TestSupport

@testable import Runs

@Suite struct ConfigurationErrorTests {
    @Test func anUnknownKeyNamesTheNearest() throws {
        let found = try problems(
            """
            model:
              moe:
                strata: [4, 4]
                stratas: [2]
            \(minimalData)
            """)
        #expect(found.count == 1)
        #expect(
            found.first?.hasPrefix(
                "a.yaml:4: model.moe.stratas is not a key; did you mean model.moe.strata? Keys of model.moe: every, strata, ")
                == true)
    }

    /// Pairs of methods, which the tests of neither may name.
    @Test(arguments: [
        ("router_z_loss: 0.1", "router_z_loss must be left out"), ("width_penalty: {}", "width_penalty must be left out"),
        ("router_entropy: 1", "router_entropy must be left out"), ("score: sigmoid", "score must be left out"),
        ("bias_balancing_rate: 0.1", "bias_balancing_rate must be 0"),
    ])
    func methodsThatDoNotGoTogether(key: String, problem: String) throws {
        let found = try problems("model: {moe: {strata: [4], routing: top_any, \(key)}}\n" + minimalData)
        #expect(found.contains { $0.contains("model.moe.\(problem) with model.moe.routing: top_any") }, "\(found)")
    }

    /// Tokens whose rule always finds them an expert do not say that one is wanted.
    @Test(arguments: ["token_choice", "expert_choice", "forced_balanced", "top_p"])
    func expertsComeAndGoWhereTokensMayFindNone(routing: String) throws {
        let pool = "expert_pool: {initial: [2]}",
            found = try problems("model: {moe: {strata: [4], routing: \(routing), \(pool)}}\n" + minimalData)
        #expect(
            found.contains { $0.contains("model.moe.expert_pool must be left out with model.moe.routing: \(routing)") },
            "\(found)")
        #expect(try problems("model: {moe: {strata: [4], routing: top_any, \(pool)}}\n" + minimalData).isEmpty)
    }

    @Test(arguments: [
        ("decoder_strata: [2]", "decoder_strata must have as many strata as model.moe.strata, 2, but has 1"),
        ("decoder_strata: [1, 1], top_k: 3", "top_k must be at most the number of experts, 2, but is 3"),
        ("decoder_strata: [2, 2], expert_widths: 8", "decoder_strata must be none where experts are of widths of their own"),
        (
            "decoder_strata: [2, 2], routing: top_any, expert_pool: {initial: [2, 2]}",
            "decoder_strata must be none where experts come and go"
        ),
        (
            "decoder_strata: [3, 3], expert_groups: {count: 2, chosen: 1}",
            "must divide every stratum of model.moe.strata, [3, 3]"
        ),
    ])
    func strataOfTheDecoderThatCannotBe(keys: String, problem: String) throws {
        let found = try problems("model: {moe: {strata: [4, 4], \(keys)}}\n" + minimalData)
        #expect(found.contains { $0.contains(problem) }, "\(found)")
    }

    @Test func strataOfTheDecoderAreWritten() throws {
        let text = "model: {moe: {strata: [4, 4], decoder_strata: [2, 1]}}\n" + minimalData
        let configuration = try RunConfiguration.parse(text, source: "a.yaml")
        #expect(configuration.model.mixture?.decoderStrata == [2, 1])
        #expect(try RunConfiguration.parse(configuration.yaml(), source: "b.yaml") == configuration)
        #expect(configuration.identity(vocabulary: 9, dataFingerprint: "d")["model.moe.decoder_strata"] == "[2, 1]")
        #expect(try problems(text + "parallel: {expert_parallel: 4}\n") == [])
        let found = try problems(text + "parallel: {expert_parallel: 5}\n")
        #expect(
            found.contains { $0.contains("expert_parallel must be at most the experts of the largest stratum, 4") }, "\(found)"
        )
    }

    @Test(arguments: [
        ("{}", "", "expert_pool.initial is required"),
        ("{initial: 2}", "", "expert_pool.initial must be a number for each of the 2 strata, but are 1"),
        ("{initial: [2, 5]}", "", "expert_pool.initial must be at most model.moe.strata, [4, 4]"),
        (
            "{initial: [2, 1], minimum: 2}", "",
            "expert_pool.minimum must be at most model.moe.expert_pool.initial, [2, 1], but is 2"
        ),
        (
            "{initial: [2, 2], record: 901}", "",
            "expert_pool.record must be at most model.moe.expert_pool.period, 900, but is 901"
        ),
        (
            "{initial: [2, 2], minimum: 2}", "parallel: {expert_parallel: 3}\n",
            "parallel.expert_parallel must be at most the experts that every stratum keeps, 2 (model.moe.expert_pool.minimum), "
                + "but is 3"
        ),
        (
            "{initial: [2, 2]}", "parallel: {replicas: auto}\n",
            "parallel.replicas must be off where experts come and go (model.moe.expert_pool), but is auto"
        ),
    ])
    func poolsThatCannotBe(pool: String, other: String, problem: String) throws {
        let found = try problems(
            "model: {moe: {strata: [4, 4], routing: top_any, expert_pool: \(pool)}}\n" + other + minimalData)
        #expect(found.contains { $0.contains(problem) }, "\(found)")
    }

    @Test(arguments: [
        ("expert_widths: 8", "where experts have hidden widths of their own"), ("stacked: true", "where strata are stacked"),
        ("heads: 2", "where rows are cut into parts"),
    ])
    func adaptersGoNotWith(key: String, problem: String) throws {
        let found = try problems("model: {moe: {strata: [4, 4], adapters: {}, \(key)}}\n" + minimalData)
        #expect(found.contains { $0.contains("model.moe.adapters must be none \(problem)") }, "\(found)")
    }

    @Test func expertsOfOtherWidthsAreNoCopies() throws {
        func found(_ widths: String) throws -> [String] {
            let pool = "expert_pool: {initial: [2], new_expert: copy}, expert_widths: \(widths)"
            return try problems("model: {moe: {strata: [4], routing: top_any, \(pool)}}\n" + minimalData)
        }
        #expect(try found("[32, 64, 32, 64]").contains { $0.contains("expert_pool.new_expert must not be copy where experts") })
        #expect(try found("[32, 32, 32, 32]").isEmpty)
    }

    @Test func poolsAreTrainedWhole() throws {
        let found = try problems(
            "model: {moe: {strata: [4], routing: top_any, expert_pool: {initial: [2]}}}\ntraining: {train: experts}\n"
                + minimalData)
        #expect(found.contains { $0.contains("training.train must be all where experts come and go") }, "\(found)")
    }

    @Test func onlyOneKindOfExperts() throws {
        let found = try problems("model: {moe: {strata: [4], adapters: {}, mpo: {}}}\n" + minimalData)
        #expect(found.contains { $0.contains("model.moe must not have MPO and adapters of 64 together") }, "\(found)")
        let widths = try problems("model: {moe: {strata: [4], mpo: {}, expert_widths: 8}}\n" + minimalData)
        #expect(widths.contains { $0.contains("model.moe.mpo must be none where experts have hidden widths") }, "\(widths)")
        let pool = try problems(
            "model: {moe: {strata: [4], routing: top_any, mpo: {}, expert_pool: {initial: [2]}}}\n" + minimalData)
        #expect(pool.contains { $0.contains("model.moe.mpo must be none where experts come and go") }, "\(pool)")
    }

    @Test func adaptersGoNotWithAnotherSharedNetwork() throws {
        let found = try problems("model: {moe: {strata: [4], adapters: {}, conditional_routing: {}}}\n" + minimalData)
        #expect(
            found.contains {
                $0.contains("model.moe must not have CMR and adapters of 64 together: the parameters of each are named shared")
            }, "\(found)")
    }

    @Test func aKeyOfAnotherSectionIsFound() throws {
        let found = try problems("training: {attention_dropout: 0.1}\nmodle: {}\n" + minimalData)
        #expect(found.count == 2)
        #expect(found.first?.contains("training.attention_dropout is not a key; did you mean model.attention_dropout?") == true)
        #expect(found.last?.contains("a.yaml:2: modle is not a key; did you mean model?") == true)
    }

    @Test func allProblemsAreReportedTogether() throws {
        let found = try problems(
            """
            model:
              dim: big
              heads: 0
              preset: transformer-bas
            training:
              learning_rate: [1]
            extra: 1
            """)
        #expect(
            found.map { $0.prefix { $0 != " " } } == [
                "a.yaml:4:", "a.yaml:2:", "a.yaml:3:", "a.yaml:6:", "a.yaml:7:", "a.yaml:1:",
            ])
        #expect(
            found[0]
                == "a.yaml:4: model.preset must be transformer-base or transformer-big, but is transformer-bas; did you mean transformer-base?"
        )
        #expect(found[1] == "a.yaml:2: model.dim must be an integer from 1 to 65536, but is big")
        #expect(found[3] == "a.yaml:6: training.learning_rate must be a number greater than 0, but is a list of 1")
        #expect(found[5].hasPrefix("a.yaml:1: data is required: a map of the keys format, "))
    }

    /// Values that a lenient reader would take, round or misread.
    @Test(arguments: [
        ("training.updates", "1.5"), ("training.updates", "1e5"), ("training.updates", "-1"), ("training.updates", "010"),
        ("training.updates", "0x10"), ("training.updates", "'5'"), ("training.updates", "true"), ("training.updates", "~"),
        ("training.updates", ""), ("training.updates", "99999999999999999999999"), ("training.updates", "9223372036854775807"),
        ("training.updates", "1__0"), ("training.updates", "_1"), ("training.updates", "{a: 1}"), ("training.updates", "1:30"),
        ("training.seed", "-1"), ("training.seed", "18446744073709551616"),
        ("training.learning_rate", ".nan"), ("training.learning_rate", ".inf"), ("training.learning_rate", "nan"),
        ("training.learning_rate", "inf"), ("training.learning_rate", "1e40"), ("training.learning_rate", "1e-60"),
        ("training.learning_rate", "0"), ("training.learning_rate", "0x1p3"), ("training.learning_rate", "1e"),
        ("training.learning_rate", "."), ("training.learning_rate", "\"0.1\""), ("training.max_minutes", "1e999"),
        ("training.label_smoothing", "1"), ("training.adam_beta2", "1"), ("training.adam_epsilon", "0"),
        ("training.clip_norm", "-0.5"),
        ("training.schedule", "cosin"), ("training.minimum_learning_rate", "1"), ("training.decay_share", "1.1"),
        ("training.weight_decay", "-1"), ("training.weight_decay", "2000"), ("training.average_decay", "1"),
        ("training.validate_average", "true"), ("training.patience", "-1"),
        ("training.token_groups", "0"), ("training.tokens_per_group", "0"),
        ("model.dropout", "1"), ("model.dropout", "-0.1"), ("model.dropout", "0.99999999999"),
        ("model.attention_dropout", "1.0"),
        ("model.heads", "0"), ("model.encoder_layers", "0"), ("model.preset", "base"), ("model.moe", "8"),
        ("data.temperature", "0"), ("data.vocabulary", "0"), ("data.prepared", "''"), ("data.prepared", "~"),
        ("data.prepared", "[a]"),
        ("data.corpora", "{crawl: text}"), ("data.weights", "{crawl: 1}"), ("data.weights", "{main: 0}"),
        ("data.weights", "{main: -1}"), ("data.stages", "[{after: 0}]"),
        ("data.stages", "[{after: 5}, {after: 5}]"), ("data.stages", "[{after: 5, weights: {crawl: 1}}]"),
        ("data.format", "csv"), ("data.invalid_text", "ignore"), ("data.directions", "[eng-eng]"), ("data.directions", "[eng]"),
        ("data.directions", "eng-cat"), ("data.directions", "[[eng-cat]]"), ("data.directions", "[eng-cat, eng-cat]"),
        ("data.directions", "[cat-isl]"), ("data.directions", "[eng-fra]"), ("data.path", "somewhere"),
        ("data.numerals.languages", "[]"), ("data.numerals.languages", "[cat, cat]"), ("data.numerals.languages", "[cat, eng]"),
        ("data.numerals.languages", "['']"), ("data.numerals.pairs_by_language", "{isk: 5}"),
        ("data.numerals.pairs_by_language", "{isl: 0}"), ("data.numerals.pairs_by_language", "[isl]"),
        ("data.numerals.below", "300"), ("data.numerals.below", "20_000"),
        ("data.numerals.pairs", "99_701"), ("data.numerals.pairs_by_language", "{isl: 100_000}"), ("data.numerals.test", "-1"),
        ("parallel.expert_parallel", "0"), ("parallel.expert_parallel", "atuo"), ("parallel.threads_per_rank", "none"),
        ("parallel.watchdog_seconds", "-1"), ("parallel.watchdog_abort_seconds", "never"),
        ("checkpoint.every", "0"), ("checkpoint.keep", "0"),
    ])
    func isRefused(_ path: String, _ value: String) throws {
        let override = "\(path)=\(value)"
        let found = try problems(minimalData, overrides: [override])
        #expect(found.count == 1, "\(found)")
        #expect(found.first?.hasPrefix("--set \(override): ") == true, "\(found)")
        #expect(found.first?.contains(path) == true && found.first?.contains(" must ") == true, "\(found)")
    }

    @Test(arguments: [
        ("strata", "[]"), ("strata", "[4, 0]"), ("strata", "[4, -1]"), ("strata", "[4.5]"), ("strata", "0"), ("strata", "four"),
        ("strata", "[[4, 4]]"), ("top_k", "0"), ("top_k", "9"), ("capacity_factor", "0"), ("capacity_factor", "-1"),
        ("capacity_factor", "non"), ("evaluation_capacity_factor", ".inf"), ("second_expert", "worst"),
        ("gate_normalization", "after-drop"), ("every", "0"), ("every", "7"), ("aux_loss_weight", "-1"),
        ("expert_output_masking", "1"), ("stacked", "yes"), ("conditional_routing", "true"),
        ("routing", "expert-choice"), ("batch_prioritized", "1"), ("capacity_priority", "true"), ("router_z_loss", "-1"),
        ("bias_balancing_rate", "none"),
        ("shared_experts", "-1"), ("gating_dropout", "1"),
        ("conditional_routing.budget", "1.1"), ("conditional_routing.weight", "-1"), ("conditional_routing.gate_dropout", "1"),
    ])
    func isRefusedOfAMixture(_ key: String, _ value: String) throws {
        let text = "model: {moe: {strata: [4, 4]}}\n" + minimalData
        let found = try problems(text, overrides: ["model.moe.\(key)=\(value)"])
        #expect(found.count == 1 && found.first?.contains("model.moe.\(key)") == true, "\(found)")
    }

    @Test(arguments: [
        ("routing: expert_choice, capacity_factor: none", "model.moe.capacity_factor must be a number with model.moe.routing"),
        (
            "routing: expert_choice, capacity_priority: own_probability",
            "model.moe.capacity_priority must be token_order with model.moe.routing: expert_choice"
        ),
        (
            "routing: expert_choice, batch_prioritized: true",
            "model.moe.capacity_priority must be token_order with model.moe.routing"
        ),
        (
            "batch_prioritized: true, capacity_factor: none",
            "model.moe.capacity_priority must be token_order with model.moe.capacity"
        ),
        (
            "bias_balancing_rate: 0.1, second_expert: best, routing: expert_choice",
            "model.moe.bias_balancing_rate must be 0 with model.moe.routing: expert_choice"
        ),
        (
            "bias_balancing_rate: 0.1, second_expert: best, routing: forced_balanced",
            "model.moe.bias_balancing_rate must be 0 with"
        ),
        ("bias_balancing_rate: 0.1", "model.moe.second_expert must be best or random with model.moe.bias_balancing_rate"),
    ])
    func optionsThatDoNotGoTogether(_ options: String, _ text: String) throws {
        let found = try problems("model: {moe: {strata: [4, 4], \(options)}}\n" + minimalData)
        #expect(found.count == 1 && found.first?.contains("a.yaml:1: \(text)") == true, "\(found)")
    }

    @Test func optionsThatGoTogether() throws {
        for options in [
            "bias_balancing_rate: 0.1, top_k: 1", "bias_balancing_rate: 0.1, second_expert: random", "routing: forced_balanced",
            "batch_prioritized: true, stacked: true, shared_experts: 1", "capacity_priority: own_probability, top_k: 8",
            "routing: expert_choice, conditional_routing: {}",
        ] {
            #expect(try problems("model: {moe: {strata: [4, 4], \(options)}}\n" + minimalData) == [], "\(options)")
        }
    }

    @Test func strataAreRequiredOfAMixture() throws {
        #expect(
            try problems("model: {moe: {every: 2}}\n" + minimalData).first?.hasPrefix("a.yaml:1: model.moe.strata is required")
                == true)
        #expect(try problems("model:\n  moe:\n" + minimalData).first?.contains("model.moe must be") == true)
    }

    @Test func aLastStratumOfOneExpertIsAllowed() throws {
        #expect(try problems("model: {moe: {strata: [7, 1]}}\n" + minimalData) == [])
        #expect(try problems("model: {moe: {strata: [1], top_k: 1}}\n" + minimalData) == [])
        #expect(
            try problems("model: {moe: {strata: [1]}}\n" + minimalData).first?.contains("model.moe.top_k must be at most")
                == true)
    }

    @Test func headsMustDivideTheDimension() throws {
        let text = "a.yaml:2: model.heads must divide model.dim, 500, but is 8"
        #expect(try problems("model:\n  dim: 500\n" + minimalData) == [text])
        // What follows from a rejected value is not reported beside it.
        #expect(try problems("model: {heads: 0, dim: 500}\n" + minimalData).count == 1)
    }

    @Test func expertParallelismMustFitTheLargestStratum() throws {
        let text = "model: {moe: {strata: [2, 6]}}\nparallel: {expert_parallel: 7}\n" + minimalData
        #expect(
            try problems(text).first?.contains(
                "a.yaml:2: parallel.expert_parallel must be at most the experts of the largest stratum, 6, but is 7") == true)
        #expect(try problems(text, overrides: ["parallel.expert_parallel=6"]) == [])
    }

    @Test func textFilesNeedAPath() throws {
        let found = try problems("data:\n  format: moses\n  prepared: p\n")
        #expect(found == ["a.yaml:2: data.path is required with data.format: moses: the folder of the text files"])
        #expect(try problems("data: {format: moses, path: t, prepared: p, numerals: {pairs: 1}}").count == 1)
    }

    @Test func manyProblemsAreCutShort() throws {
        let text = (0..<1000).map { "key\($0): 1\n" }.joined() + minimalData
        let folder = TemporaryFolder()
        try folder.write("a.yaml", text)
        let error = #expect(throws: ConfigurationError.self) { try folder.load("a.yaml") }
        #expect(error?.problems.count == 1000)
        #expect(error?.description.split(separator: "\n").count == ConfigurationError.shown + 1)
    }
}
