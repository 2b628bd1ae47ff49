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
        expectError(try Self.plan("--paper", "--ranks", "4"), 64, "leave the configuration, --set, --ranks and --run out")
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
}
