import Foundation
import Testing
import _TestSupport

/// Experts that come and go, as commands show them: trained under mpirun, resumed on other ranks, analysed, exported, planned.
@Suite(.serialized, .hangLimit) struct ExpertPoolCommandTests {
    private static let keys = [
        "model.moe.strata=[4, 5]", "model.moe.routing=top_any", "model.moe.top_any.scale=4", "model.moe.capacity_factor=none",
        "training.validate_bleu=3",
        "model.moe.expert_pool={initial: [2, 2], minimum: 2, record: 2, period: 3, minimum_tokens: 20}",
    ]
    private static var options: [String] { keys.flatMap { ["--set", $0] } }

    private static func train(_ folder: CommandLineFolder, _ launch: Launch, _ more: String...) throws -> Subprocess.Outcome {
        try launch.strata(["train", TinyCommandLine.configuration, "--out", "\(folder.path)/run"] + options + more)
    }

    private static func manifest(_ folder: CommandLineFolder, _ step: String) throws -> [String: Any] {
        try #require(
            try JSONSerialization.jsonObject(with: folder.data("run/checkpoints/step-\(step)/manifest.json")) as? [String: Any])
    }

    /// On two ranks of an mpirun, stopped within a window and gone on with on four, as alone; and what comes of it.
    @Test func trainedUnderMPIAndUsed() throws {
        let alone = CommandLineFolder(), spread = CommandLineFolder()
        let outcome = try Self.train(alone, .alone)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stderr.contains("update 2: encoder.layers.1.moe: "), "\(outcome)")
        let first = try Self.train(spread, .mpirun(2), "--set", "training.updates=4")
        #expect(first.status == 0, "\(first)")
        let pools = try #require(try Self.manifest(spread, "00000004")["pools"] as? [[String: Any]])
        #expect(pools.compactMap { $0["block"] as? String } == ["encoder.layers.1.moe", "decoder.layers.1.moe"])
        #expect(pools.allSatisfy { ($0["records"] as? [Any])?.count == 2 })
        let second = try Self.train(spread, .mpirun(4), "--resume")
        #expect(second.status == 0, "\(second)")
        #expect(try spread.losses("run") == alone.losses("run"))
        // What is translated is the model that there is now: the second run began to translate after experts had come.
        let scores = try [alone, spread].map { folder in
            try folder.metrics("run").filter { $0["update"] as? Int != 4 }.compactMap { $0["valid_bleu"] as? Double }
        }
        #expect(scores[0].count == 3 && Set(scores[0]).count > 1 && scores[1] == scores[0], "\(scores)")
        let existing = try alone.metrics("run").compactMap { $0["experts_existing"] as? Int }
        #expect(try existing == spread.metrics("run").compactMap { $0["experts_existing"] as? Int })
        #expect(existing.count == 12 && existing[0] == 8 && Set(existing).count > 1, "\(existing)")
        let final = try #require(try Self.manifest(spread, "00000012")["pools"] as? [[String: Any]])
        let experts = final.compactMap { $0["experts"] as? [Int] }
        #expect(experts.reduce(0) { $0 + $1.count } == existing[11])

        let analyzed = try Launch.simulated(2).strata(["analyze", "\(spread.path)/run", "--json"])
        #expect(analyzed.status == 0, "\(analyzed)")
        let analysis = try #require(
            try JSONSerialization.jsonObject(with: Data(analyzed.stdout.utf8)) as? [String: Any])
        let listed = try #require(analysis["existing_experts"] as? [[String: Any]])
        #expect(listed.compactMap { $0["experts"] as? [Int] } == experts)

        let export = "\(spread.path)/export"
        #expect(try Launch.alone.strata(["export", "\(spread.path)/run", "--out", export]).status == 0)
        let document = try #require(
            try JSONSerialization.jsonObject(with: spread.data("export/config.json")) as? [String: Any])
        let named = try #require(document["experts"] as? [String: [Int]])
        #expect(named == ["encoder.layers.1.moe": experts[0], "decoder.layers.1.moe": experts[1]])
        let translations = try ["\(spread.path)/run", export].map { model in
            try Launch.alone.strata(["translate", model, "--direction", "eng-cat"], input: "twelve\nseven hundred\n")
        }
        #expect(translations[0].status == 0 && translations[0].stdout == translations[1].stdout, "\(translations)")

        // Experts were added between these.
        let averaged = try Launch.alone.strata(
            ["checkpoint", "average", "\(alone.path)/run", "--steps", "5,12", "--out", "\(alone.path)/mean"])
        #expect(averaged.status != 0 && averaged.stderr.contains("training has added or removed"), "\(averaged)")

        let report = try Launch.alone.strata(["report", "\(spread.path)/run", "--out", "\(spread.path)/report.html"])
        #expect(report.status == 0, "\(report)")
        let page = String(decoding: try spread.data("report.html"), as: UTF8.self)
        #expect(page.contains("Experts existing") && page.contains("global ids"))

        // Another training begins with it, and with its experts.
        let begun = try Launch.mpirun(2).strata(
            ["train", TinyCommandLine.configuration, "--out", "\(spread.path)/next", "--from", export] + Self.options
                + ["--set", "training.updates=1"])
        #expect(begun.status == 0, "\(begun)")
        #expect(try spread.metrics("next").compactMap { $0["experts_existing"] as? Int } == [existing[11]])
        let pruned = try Launch.alone.strata(
            ["convert", "prune", "\(spread.path)/run", "--keep", "0.5", "--out", "\(spread.path)/pruned"])
        #expect(pruned.status != 0 && pruned.stderr.contains("training removes them"), "\(pruned)")
    }

    @Test func planned() throws {
        func plan(_ options: [String]) throws -> [String: Any] {
            let outcome = try Launch.alone.strata(
                ["plan", TinyCommandLine.configuration, "--ranks", "4", "--json"] + options)
            #expect(outcome.status == 0, "\(outcome)")
            return try #require(try JSONSerialization.jsonObject(with: Data(outcome.stdout.utf8)) as? [String: Any])
        }
        let pool = try plan(Self.options), fixed = try plan(Self.options.dropLast(2))
        // Of each block nine experts may exist, and four do at first: 16 · 32 · 2 + 32 + 16 parameters each.
        #expect(pool["parameters"] as? Int == fixed["parameters"] as? Int)
        let initial = try #require(pool["initial_parameters"] as? Int), all = try #require(pool["parameters"] as? Int)
        #expect(all - initial == 2 * 5 * (2 * 16 * 32 + 32 + 16))
        #expect(fixed["initial_parameters"] == nil)
        #expect(pool["expert_parallel"] as? Int == 2 && fixed["expert_parallel"] as? Int == 4)
        let memory = try #require(pool["memory_per_rank"] as? [String: Int])
        #expect(memory["remaking"] == memory["parameters"]! + memory["gradients"]! + memory["optimizer_state"]!)
        #expect((fixed["memory_per_rank"] as? [String: Int])?["remaking"] == nil)
    }
}
