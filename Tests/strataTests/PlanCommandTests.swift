import Foundation
import Testing
import _TestSupport

/// `strata plan` as people run it.
@Suite struct PlanCommandTests {
    private static let folder: String = {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("configs").path
    }()

    private static func plan(_ arguments: String...) throws -> Subprocess.Outcome {
        try Launch.alone.strata(["plan"] + arguments)
    }

    private static func document(_ outcome: Subprocess.Outcome) throws -> [String: Any] {
        try #require(outcome.status == 0, "\(outcome)")
        return try #require(try JSONSerialization.jsonObject(with: Data(outcome.stdout.utf8)) as? [String: Any])
    }

    @Test func jsonHasTheFigures() throws {
        let plan = try Self.document(Self.plan("\(Self.folder)/m4/smoe-4-4.yaml", "--ranks", "8", "--json"))
        #expect(
            Set(plan.keys) == [
                "parameters", "active_parameters", "flops_per_token", "expected_rounds", "experts_per_token", "ranks",
                "expert_parallel", "replicas", "memory_per_rank", "memory_per_rank_total", "all_to_all_bytes_per_update",
                "gradient_bytes_per_update", "placement",
            ])
        #expect(plan["expected_rounds"] as? Double == 1.5 && plan["experts_per_token"] as? Double == 3)
        #expect(plan["expert_parallel"] as? Int == 4 && plan["replicas"] as? Int == 2)
        #expect(plan["placement"] as? [[[Int]]] == [[[0], [1], [2], [3]], [[4], [5], [6], [7]]])
        let memory = try #require(plan["memory_per_rank"] as? [String: Int])
        #expect(memory.values.reduce(0, +) == plan["memory_per_rank_total"] as? Int)
        #expect(memory["optimizer_state"] == 2 * memory["parameters"]!)
    }

    @Test func textNamesThePlaces() throws {
        let outcome = try Self.plan("\(Self.folder)/m4/smoe-4-4.yaml", "--ranks", "4", "--set", "parallel.expert_parallel=2")
        #expect(outcome.status == 0 && outcome.stderr.isEmpty)
        #expect(outcome.stdout.contains("4 rank(s) = 2 expert-parallel × 2 replica(s)"))
        let lines = outcome.stdout.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
        #expect(lines.suffix(4) == ["experts place 0 place 1", "ranks 0, 2 1, 3", "stratum 0 0 1 2 3", "stratum 1 4 5 6 7"])
    }

    @Test func aDenseModelHasNoExperts() throws {
        let plan = try Self.document(Self.plan("\(Self.folder)/m15/dense.yaml", "--json"))
        #expect(plan["expected_rounds"] == nil && (plan["placement"] as? [Any])?.isEmpty == true)
        #expect(plan["parameters"] as? Int == plan["active_parameters"] as? Int)
    }

    @Test func roundsOfARunAreUsed() throws {
        let folder = CommandLineFolder()
        try folder.write("config.yaml", Self.run("moe: {strata: [4, 4]}"))
        let lines =
            (1...150).map { "{\"update\":\($0),\"rounds_mean\":\($0 <= 50 ? 1.9 : 1.25)}\n" } + [
                "{\"update\":150,\"valid_loss\":1}\n"
            ]
        try folder.write("metrics.jsonl", Data(lines.joined().utf8))
        let plan = try Self.document(Self.plan("\(Self.folder)/m4/smoe-4-4.yaml", "--run", folder.path, "--json"))
        #expect(abs(try #require(plan["measured_rounds"] as? Double) - 1.25) < 1e-9)
        #expect(plan["expected_rounds"] as? Double == 1.5)
        #expect(abs(try #require(plan["experts_per_token"] as? Double) - 2.5) < 1e-9)
    }

    /// Figures of four ranks on two hosts, as `bench machine` writes them.
    private static let machine = """
        {"format_version": 1, "ranks": 4, "hosts": 2, "threads": 1, "cores": 2, "ranks_per_machine": 2, "compute": "float32",
         "widths": [{"dim": 512, "dense": 9e10, "loss": 8e10, "attention": 3e10, "passes": 5e9,
                     "experts": [{"rows": 16, "speed": 3e10}, {"rows": 256, "speed": 8e10}]}],
         "optimizer_bytes": 1e10, "within_host": {"latency": 2e-6, "bytes": 2e9}, "between_hosts": {"latency": 5e-5, "bytes": 1e9}}
        """

    @Test func theTimeOfAnUpdate() throws {
        let folder = CommandLineFolder()
        try folder.write("machine.json", Data(Self.machine.utf8))
        let arguments = [
            "\(Self.folder)/m4/smoe-4-4.yaml", "--ranks", "4", "--hosts", "2", "--machine", "\(folder.path)/machine.json",
        ]
        func predicted(_ link: String) throws -> [String: Any] {
            let plan = try Self.document(Launch.alone.strata(["plan"] + arguments + ["--link", link, "--json"]))
            return try #require(plan["predicted"] as? [String: Any])
        }
        let fast = try predicted("10gbit"), slow = try predicted("100mbit")
        func seconds(_ plan: [String: Any]) -> Double { plan["seconds_per_step"] as? Double ?? .nan }
        #expect(seconds(fast) < seconds(slow))
        let parts = try #require(slow["seconds"] as? [String: Double])
        #expect(abs(parts.values.reduce(0, +) - seconds(slow)) < 1e-9 && parts["rows"]! > parts["experts"]!)
        #expect((slow["limits"] as? [String])?.isEmpty == true && slow["link"] as? String == "100mbit")
        let proposals = try #require(slow["proposals"] as? [[String: Any]])
        #expect(proposals[0]["expert_parallel"] as? Int != 4, "over such a link rows stay on their host")
        let text = try Launch.alone.strata(["plan"] + arguments)
        #expect(text.status == 0 && text.stdout.contains("2 hosts, links of the speed that was measured"), "\(text)")
        #expect(text.stdout.contains("predicted step") && text.stdout.contains("proposal"))
    }

    /// Without a file the machine is measured, and so it says.
    @Test func theMachineIsMeasuredOnTheSpot() throws {
        let folder = CommandLineFolder()
        try folder.write("config.yaml", Self.run("dim: 16, ffn_dim: 32, heads: 2, moe: {strata: [2, 2]}"))
        let outcome = try Self.plan("\(folder.path)/config.yaml", "--ranks", "4", "--hosts", "2", "--link", "1gbit")
        #expect(
            outcome.status == 0 && outcome.stdout.contains("speeds measured here, now, with 2 rank(s) at once"), "\(outcome)")
        #expect(outcome.stdout.contains("! no message was measured between hosts"))
    }

    @Test func wrongHostsAndLinksAreExplained() throws {
        let folder = CommandLineFolder()
        try folder.write("machine.json", Data(Self.machine.utf8))
        let model = "\(Self.folder)/m4/smoe-4-4.yaml", machine = "\(folder.path)/machine.json"
        expectError(
            try Self.plan(model, "--ranks", "4", "--hosts", "3"), 64, "--hosts must divide the number of ranks, 4, but is 3")
        expectError(try Self.plan(model, "--ranks", "1025", "--hosts", "1"), 64, "--ranks must be 1 to 1024, but is 1025")
        expectError(try Self.plan(model, "--hosts", "0"), 64, "--hosts must divide the number of ranks, 1, but is 0")
        expectError(try Self.plan(model, "--skew", "zipf:-1"), 64, "--skew must be uniform or zipf:s")
        expectError(try Self.plan(model, "--link", "fast"), 64, "--link must be a number and kbit, mbit or gbit")
        expectError(try Self.plan(model, "--machine", "\(folder.path)/none.json"), 74, "none.json")
        expectError(
            try Self.plan(model, "--machine", machine, "--set", "model.compute=bfloat16"), 64,
            "must be of products in the model's precision, bfloat16")
        try folder.write("machine.json", Data("{}".utf8))
        expectError(try Self.plan(model, "--machine", machine), 65, "machine.json: must hold a machine's figures")
        expectError(try Self.plan("--paper", "--hosts", "2"), 64, "--paper shows the paper's models")
    }

    @Test func simulate() throws {
        let folder = CommandLineFolder()
        try folder.write("machine.json", Data(Self.machine.utf8))
        func simulate(_ arguments: String...) throws -> Subprocess.Outcome {
            try Launch.alone.strata(
                ["simulate", "\(Self.folder)/m4/smoe-4-4.yaml", "--machine", "\(folder.path)/machine.json"] + arguments)
        }
        let options = [
            "--ranks", "1024", "--hosts", "512", "--set", "training.token_groups=1024", "--link", "10gbit", "--json",
        ]
        let document = try Self.document(
            Launch.alone.strata(
                ["simulate", "\(Self.folder)/m4/smoe-4-4.yaml", "--machine", "\(folder.path)/machine.json", "--skew", "zipf:1"]
                    + options))
        let points = try #require(document["points"] as? [[String: Any]])
        #expect(points.compactMap { $0["ranks"] as? Int } == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024])
        #expect(points.compactMap { $0["hosts"] as? Int } == [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512])
        let speeds = points.compactMap { $0["tokens_per_second"] as? Double }
        #expect(zip(speeds, speeds.dropFirst()).allSatisfy { $0 < $1 }, "\(speeds)")
        #expect(document["believable_ranks"] as? Int == 4, "\(document)")
        let limits = try #require(document["limits"] as? [[String: Any]])
        #expect(limits.contains { $0["from_ranks"] as? Int == 8 && ($0["reason"] as? String)?.contains("switch") == true })
        let text = try simulate("--ranks", "4", "--hosts", "2")
        #expect(text.status == 0 && text.stdout.contains("believable up to") && text.stdout.contains("gradient MiB"), "\(text)")
        #expect(try simulate("--ranks", "4").stdout == simulate("--ranks", "4").stdout)
        expectError(try simulate("--ranks", "1025"), 64, "--ranks must be 1 to 1024, but is 1025")
        expectError(try simulate("--ranks", "6", "--hosts", "4"), 64, "--hosts must divide the number of ranks, 6, but is 4")
        expectError(try simulate("--skew", "zipf"), 64, "--skew must be uniform or zipf:s")
        expectError(try simulate("--seed", "-1"), 64, "--seed must be")
        let pairs = try Self.document(simulate("--ranks", "8", "--set", "parallel.expert_parallel=2", "--json"))
        #expect((pairs["points"] as? [[String: Any]])?.compactMap { $0["ranks"] as? Int } == [2, 4, 8], "\(pairs)")
    }

    @Test func thePapersModels() throws {
        let outcome = try Self.plan("--paper")
        #expect(outcome.status == 0 && outcome.stdout.contains("smoe-2-2-2-2") && outcome.stdout.contains("vanilla-32"))
        let models = try #require(try Self.document(Self.plan("--paper", "--json"))["models"] as? [[String: Any]])
        #expect(models.count == 21)
    }

    @Test func wrongUseIsExplained() throws {
        expectError(try Self.plan(), 64, "strata plan needs a configuration, or --paper")
        expectError(try Self.plan("\(Self.folder)/m4/dense.yaml", "--paper"), 64, "--paper shows the paper's models")
        expectError(try Self.plan("\(Self.folder)/m4/dense.yaml", "--ranks", "0"), 64, "--ranks must be")
        expectError(
            try Self.plan("\(Self.folder)/m4/smoe-4-4.yaml", "--ranks", "8", "--set", "parallel.expert_parallel=3"), 64,
            "parallel.expert_parallel must divide the number of ranks, 8, but is 3")
        expectError(try Self.plan("\(Self.folder)/m4/smoe-4-4.yaml", "--run", "/nowhere"), 64, "must be the folder of a run")
        let folder = CommandLineFolder()
        try folder.write("config.yaml", Self.run("moe: {strata: [4, 4]}"))
        expectError(
            try Self.plan("\(Self.folder)/m4/smoe-4-4.yaml", "--run", folder.path), 65, "must hold updates of a mixture")
        expectError(try Self.plan("--paper", "--ranks", "4"), 64, "leave the configuration and other options out")
    }

    /// The configuration of a run of such a model.
    private static func run(_ model: String) -> Data {
        Data("model: {\(model)}\ndata: {format: numerals, prepared: p}\n".utf8)
    }

    @Test(arguments: [
        ("moe: none", "none (dense)"), ("moe: {strata: [2, 2, 2, 2]}", "2-2-2-2"),
        ("moe: {strata: [4, 4], stacked: true}", "4-4 stacked"),
    ])
    func aRunOfAnotherModelIsRefused(model: String, strata: String) throws {
        let folder = CommandLineFolder()
        try folder.write("config.yaml", Self.run(model))
        try folder.write("metrics.jsonl", Data("{\"update\":1,\"rounds_mean\":1.25}\n".utf8))
        expectError(
            try Self.plan("\(Self.folder)/m4/smoe-4-4.yaml", "--run", folder.path), 64,
            "--run must be a run of the configuration's strata, 4-4, but \(folder.path) has \(strata);")
        expectError(
            try Self.plan("\(Self.folder)/m4/dense.yaml", "--run", folder.path), 64,
            "the configuration's model is dense: leave it out")
    }

    /// From an analysis to a training with the places that were proposed, to the bit that without.
    @Test(arguments: [Launch.simulated(2), .mpirun(2)]) func placementsOfARun(launch: Launch) throws {
        let folder = CommandLineFolder(), run = "\(folder.path)/run", file = "\(folder.path)/p.json"
        try FileManager.default.copyItem(atPath: TinyCommandLine.run, toPath: run)
        let plan = ["plan", TinyCommandLine.configuration, "--ranks", "2", "--placement", run]
        expectError(try Launch.alone.strata(plan), 64, "must have been analysed; run strata analyze")
        #expect(try Launch.alone.strata(["analyze", run, "--data", TinyCommandLine.data]).status == 0)
        let outcome = try Launch.alone.strata(plan + ["--out", file])
        #expect(outcome.status == 0 && outcome.stdout.contains("encoder.layers.1.moe"), "\(outcome)")
        // One that is not the usual one.
        let other = ["encoder.layers.1.moe", "decoder.layers.1.moe"].map { "\"\($0)\": [[1, 2], [0, 3]]" }
        try "{\"version\": 1, \"expert_parallel\": 2, \"blocks\": {\(other.joined(separator: ", "))}}".write(
            toFile: file, atomically: true, encoding: .utf8)
        let trained = try launch.strata([
            "train", TinyCommandLine.configuration, "--out", "\(folder.path)/placed", "--set", "parallel.placement=\(file)",
        ])
        #expect(trained.status == 0 && !trained.stderr.contains("usual places"), "\(trained)")
        #expect(try folder.losses("placed") == TinyCommandLine.runs.losses("run"))
        try "{}".write(toFile: file, atomically: true, encoding: .utf8)
        expectError(
            try launch.strata([
                "train", TinyCommandLine.configuration, "--out", "\(folder.path)/broken", "--set",
                "parallel.placement=\(file)",
            ]), 65, "must be a placement of version 1")
    }

    @Test func placementsNeedRanks() throws {
        let plan = ["plan", TinyCommandLine.configuration]
        expectError(try Launch.alone.strata(plan + ["--placement", TinyCommandLine.run]), 64, "--placement is for a mixture")
        expectError(try Launch.alone.strata(plan + ["--out", "x"]), 64, "--out is for what --placement proposes")
        expectError(
            try Launch.alone.strata(plan + ["--placement", TinyCommandLine.run, "--hosts", "1"]), 64, "leave --run and what")
    }
}
