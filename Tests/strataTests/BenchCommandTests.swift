import Foundation
import Testing
import _TestSupport

/// `strata bench` at a tiny size: what it prints, and what it refuses.
@Suite(.serialized, .hangLimit) struct BenchCommandTests {
    private let folder = CommandLineFolder()
    private var configuration: [String] { ["--config", "\(folder.path)/bench.yaml"] }

    init() throws {
        try folder.write(
            "bench.yaml",
            Data(
                """
                model: {dim: 16, ffn_dim: 32, heads: 2, encoder_layers: 2, decoder_layers: 2, moe: {strata: [2, 2]}}
                data: {format: numerals, prepared: none, vocabulary: 40}
                training: {token_groups: 2, tokens_per_group: 100}
                parallel: {threads_per_rank: 1}

                """.utf8))
    }

    /// The JSON that a benchmark prints, and nothing else.
    private func figures(_ launch: Launch, _ arguments: [String]) throws -> Any {
        let outcome = try launch.strata(["bench"] + arguments + ["--json"])
        try #require(outcome.status == 0, "\(outcome)")
        return try JSONSerialization.jsonObject(with: Data(outcome.stdout.utf8))
    }

    @Test(arguments: [(Launch.alone, 1), (.simulated(2), 2), (.mpirun(2), 2)]) func step(launch: Launch, ranks: Int) throws {
        let figures = try #require(
            try figures(launch, ["step", "--steps", "2", "--set", "data.vocabulary=5"] + configuration) as? [String: Any])
        #expect(
            Set(figures.keys) == [
                "tokens_per_second", "seconds_per_step", "model_flops_utilization", "sgemm_gflops", "peak_rss_mb", "phases",
                "ranks", "threads", "compute", "load_violation",
            ])
        func number(_ key: String) -> Double { figures[key] as? Double ?? .nan }
        #expect(number("tokens_per_second") > 0 && number("sgemm_gflops") > 0 && number("ranks") == Double(ranks))
        #expect(number("load_violation") >= 1 && number("load_violation") <= 2, "of two choices an expert is one")
        #expect((0..<1).contains(number("model_flops_utilization")) && number("model_flops_utilization") > 0)
        // The products that measure the speed have 12 MiB of matrices; a process of less than 12 GiB.
        #expect((12..<12_288).contains(number("peak_rss_mb")))
        let phases = try #require(figures["phases"] as? [String: Double])
        #expect(
            abs(phases.values.reduce(0, +) - number("seconds_per_step")) < 1e-9 && phases.keys.contains("gemm"), "\(phases)")
    }

    @Test func stepAsTextAndItsProfile() throws {
        let outcome = try Launch.alone.strata(
            ["bench", "step", "--steps", "1", "--profile", "\(folder.path)/profile.json"] + configuration)
        #expect(outcome.status == 0 && outcome.stdout.contains("1 rank(s) × 1 thread(s)"), "\(outcome)")
        #expect(outcome.stdout.contains("MiB per rank"), "\(outcome)")
        let profile = try JSONSerialization.jsonObject(with: folder.data("profile.json")) as? [String: Any]
        #expect((profile?["traceEvents"] as? [Any])?.isEmpty == false)
        let refused = try Launch.alone.strata(
            ["bench", "step", "--steps", "1", "--json", "--profile", folder.path] + configuration)
        expectError(refused, 74, "\(folder.path): must be a file, but is a folder")
    }

    /// The figures of all ranks at once, as `plan` reads them.
    @Test(arguments: [(Launch.alone, 1), (.simulated(2), 2), (.mpirun(2), 2)]) func machine(launch: Launch, ranks: Int) throws {
        let figures = try #require(
            try figures(launch, ["machine", "--threads", "1", "--dim", "32", "--dim", "64"]) as? [String: Any])
        #expect(
            figures["ranks"] as? Int == ranks && figures["hosts"] as? Int == 1 && figures["ranks_per_machine"] as? Int == ranks)
        #expect((figures["within_host"] != nil) == (ranks > 1) && figures["between_hosts"] == nil)
        let widths = try #require(figures["widths"] as? [[String: Any]])
        #expect(widths.compactMap { $0["dim"] as? Int } == [32, 64])
        try folder.write("machine.json", JSONSerialization.data(withJSONObject: figures))
        let outcome = try Launch.alone.strata(
            ["plan", "\(folder.path)/bench.yaml", "--ranks", "\(ranks)", "--machine", "\(folder.path)/machine.json"])
        #expect(outcome.status == 0 && outcome.stdout.contains("speeds of \(folder.path)/machine.json"), "\(outcome)")
        #expect(outcome.stdout.contains("! the model is not between the widths"), "\(outcome)")
    }

    @Test func aMachineInAnotherPrecision() throws {
        expectError(
            try Launch.alone.strata(["bench", "machine", "--compute", "float16"]), 64,
            "--compute must be float32 or bfloat16, but is 'float16'")
        expectError(try Launch.alone.strata(["bench", "machine", "--threads", "0"]), 64, "--threads must be 1 to 1024")
    }

    /// Expert-parallel sizes that do not fit the strata are left out.
    @Test func invariance() throws {
        let figures = try #require(
            try figures(.alone, ["invariance", "--updates", "3"] + configuration) as? [String: Any])
        let outcomes = try #require(figures["outcomes"] as? [[String: Any]])
        #expect(figures["updates"] as? Int == 3 && outcomes.count == 14)
        #expect(Set(outcomes.compactMap { $0["hash"] as? String }).count == 1, "\(outcomes)")
        let other = try #require(
            try self.figures(.alone, ["invariance", "--updates", "3", "--set", "training.seed=2"] + configuration)
                as? [String: Any])
        let others = try #require(other["outcomes"] as? [[String: Any]])
        #expect(others[0]["hash"] as? String != outcomes[0]["hash"] as? String)
        let text = try Launch.alone.strata(["bench", "invariance", "--updates", "2"] + configuration)
        #expect(text.status == 0 && text.stdout.hasSuffix("same parameters, moments and loss, to the bit\n"), "\(text)")
    }

    /// Ranks that were started have the bits of one that is simulated.
    @Test(arguments: [2, 4]) func invarianceOnStartedRanks(ranks: Int) throws {
        let figures = try #require(
            try figures(.mpirun(ranks), ["invariance", "--updates", "3"] + configuration) as? [String: Any])
        let outcomes = try #require(figures["outcomes"] as? [[String: Any]])
        let ways = try outcomes.map { try #require($0["way"] as? [String: Any]) }
        #expect(ways.map { $0["ranks"] as? Int } == [1, ranks, ranks])
        #expect(ways.map { $0["isSimulated"] as? Bool } == [true, false, false])
        #expect(ways.map { $0["shardOptimizer"] as? Bool } == [false, false, true])
        #expect(Set(outcomes.compactMap { $0["hash"] as? String }).count == 1, "\(outcomes)")
    }

    @Test(arguments: [Launch.alone, .mpirun(2)]) func decode(launch: Launch) throws {
        let figures = try #require(
            try figures(launch, ["decode", "--sentences", "1", "--length", "3", "--set", "data.vocabulary=5"] + configuration)
                as? [String: Double])
        #expect(Set(figures.keys) == ["sentences_per_second", "tokens_per_second"])
        let speeds = (figures["sentences_per_second"] ?? 0, figures["tokens_per_second"] ?? 0)
        #expect(speeds.0 > 0 && abs(speeds.1 / speeds.0 - 3) < 1e-9)
    }

    @Test func theParts() throws {
        let gemm = try #require(try figures(.alone, ["gemm", "--threads", "1"]) as? [String: Any])
        // In bfloat16 where the processor can.
        #expect(
            Set(gemm.keys).subtracting(["bfloat16_one_thread_gflops", "bfloat16_all_threads_gflops"]) == [
                "kernels", "core", "one_thread_gflops", "all_threads_gflops", "openblas_one_thread_gflops",
                "openblas_all_threads_gflops", "threads",
            ])
        let experts = try #require(
            try figures(
                .alone, ["experts", "--dim", "4", "--ffn", "4", "--experts", "2", "--repetitions", "1", "--threads", "2"])
                as? [[String: Any]])
        #expect(experts.count == 32 && Set(experts[0].keys) == ["rows_per_expert", "skew", "gflops", "over_gemm"])
        let unequal = ["--dim", "4", "--ffn", "4", "--experts", "2", "--repetitions", "1", "--threads", "1"]
        let compared = try #require(try figures(.alone, ["experts"] + unequal + ["--ratios", "1,3"]) as? [[String: Any]])
        #expect(compared.allSatisfy { $0["unequal_over_equal"] as? Double ?? 0 > 0 })
        let refused = try Launch.alone.strata(["bench", "experts"] + unequal + ["--ratios", "1,2,3"])
        expectError(refused, 64, "--ratios must be 2 numbers between 1 and 65536, such as 9,13,19,23, but is '1,2,3'")
        let exchanges = try #require(try figures(.simulated(2), ["alltoall", "--repetitions", "1"]) as? [[String: Double]])
        #expect(
            exchanges.count == 4
                && Set(exchanges[0].keys) == [
                    "mebibytes_a_rank", "dispatcher_sent_mebibytes", "bare_sent_mebibytes", "dispatcher_ms", "bare_ms", "ratio",
                ])
        #expect(
            exchanges.allSatisfy { $0["dispatcher_sent_mebibytes"] == $0["bare_sent_mebibytes"] },
            "of one choice nothing is shared")
        let routed = try #require(
            try figures(.simulated(2), ["alltoall", "--repetitions", "1", "--top-k", "2", "--experts", "4"])
                as? [[String: Double]])
        // Of a token's two choices 1 is expected elsewhere, and at 22 / 28 of the tokens at least one: in three ways of four.
        let share = try #require(routed.last.map { ($0["dispatcher_sent_mebibytes"] ?? 0) / ($0["bare_sent_mebibytes"] ?? 1) })
        #expect(abs(share - (3 * 22.0 / 28 + 1) / 4) < 0.02)
    }

    @Test func whatIsOutOfRangeIsRefused() throws {
        for (arguments, text) in [
            (["experts", "--threads", "0"], "--threads must be 1 to 1024, but is 0"),
            (["experts", "--dim", "0"], "--dim must be 1 to 65536, but is 0"),
            (["gemm", "--threads", "0"], "--threads must be 1 to 1024, but is 0"),
            (["alltoall", "--repetitions", "0"], "--repetitions must be 1 to 1000000, but is 0"),
        ] {
            expectError(try Launch.alone.strata(["bench"] + arguments), 64, text)
        }
    }

    /// Under mpirun too an error is said once.
    @Test(arguments: [Launch.alone, .mpirun(2)]) func modelsThatCannotBeMeasured(launch: Launch) throws {
        for (arguments, text) in [
            (["step", "--steps", "0"], "--steps must be 1 to 1000000, but is 0"),
            (["decode", "--length", "1"], "--length must be 2 to 4096, but is 1"),
            (["step", "--set", "data.vocabulary=4"], "data.vocabulary must be at least 5, but is 4"),
            (["decode", "--set", "data.vocabulary=4"], "data.vocabulary must be at least 5, but is 4"),
        ] {
            expectError(try launch.strata(["bench"] + arguments + configuration), 64, text)
        }
        expectError(try launch.strata(["bench", "decode", "--config", "\(folder.path)/none.yaml"]), 64, "none.yaml")
    }

    /// Sentences are made up, and of the data only the vocabulary's size counts.
    @Test func aConfigurationWithoutData() throws {
        for data in ["", "data: {vocabulary: 50}\n"] {
            try folder.write(
                "bare.yaml",
                Data(
                    (data + """
                        model: {dim: 8, ffn_dim: 8, heads: 2, encoder_layers: 1, decoder_layers: 1}
                        training: {token_groups: 1, tokens_per_group: 60}

                        """).utf8))
            let outcome = try Launch.alone.strata(
                ["bench", "step", "--steps", "1", "--config", "\(folder.path)/bare.yaml"]
                    + (data.isEmpty ? ["--set", "data.vocabulary=50"] : []))
            #expect(outcome.status == 0, "\(outcome)")
        }
    }
}
