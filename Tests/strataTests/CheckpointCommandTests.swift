import Foundation
import Testing
import _TestSupport

/// `strata checkpoint`, and `--checkpoint` of the commands that use one.
@Suite(.serialized, .hangLimit) struct CheckpointCommandTests {
    private let folder = CommandLineFolder()
    private var run: String { "\(folder.path)/run" }

    /// Checkpoints 5 and 10, which were validated, and 12, which was as the last.
    init() throws { try folder.copy(TinyCommandLine.run, to: "run") }

    private func strata(_ arguments: String...) throws -> Subprocess.Outcome { try Launch.alone.strata(arguments) }

    private func list() throws -> [[String: Any]] {
        let outcome = try strata("checkpoint", "list", run, "--json")
        #expect(outcome.status == 0 && outcome.stderr.isEmpty, "\(outcome)")
        return try #require(try JSONSerialization.jsonObject(with: Data(outcome.stdout.utf8)) as? [[String: Any]])
    }

    @Test func listShowsStepSizeRanksLossAndMarks() throws {
        let lines = try list(), losses = try folder.metrics("run").filter { $0["valid_loss"] != nil }
        #expect(lines.compactMap { $0["step"] as? Int } == [5, 10, 12])
        for (line, validation) in zip(lines, losses) {
            let step = line["step"] as? Int ?? 0
            #expect(validation["update"] as? Int == step)
            #expect(line["validation_loss"] as? Double == validation["valid_loss"] as? Double)
            let shard = try folder.data(
                "run/checkpoints/step-\(step < 10 ? "0000000" : "000000")\(step)/shard-00000.safetensors")
            #expect(line["bytes"] as? Int == shard.count)
            #expect(line["ranks"] as? Int == 1 && line["expert_parallel"] as? Int == 1 && line["complete"] as? Bool == true)
            #expect((line["date"] as? String)?.hasSuffix("Z") == true)
        }
        #expect(lines.compactMap { $0["latest"] as? Bool } == [false, false, true])
        let best = losses.min { ($0["valid_loss"] as! Double) < ($1["valid_loss"] as! Double) }?["update"] as? Int
        #expect(lines.filter { $0["best"] as? Bool == true }.map { $0["step"] as? Int } == [best])
        let text = try strata("checkpoint", "list", run)
        #expect(text.status == 0 && text.stdout.split(separator: "\n").count == 4, "\(text)")
        #expect(text.stdout.contains("  MiB  ") && text.stdout.contains("1 × EP 1"), "\(text)")
    }

    @Test func verifyNamesEveryProblem() throws {
        let sound = try strata("checkpoint", "verify", run)
        #expect(sound.status == 0 && sound.stdout == "update 5: sound\nupdate 10: sound\nupdate 12: sound\n", "\(sound)")
        try folder.damage("run/checkpoints/step-00000005/shard-00000.safetensors")
        try folder.write("run/checkpoints/step-00000010/shard-00000.safetensors", Data())
        try folder.write("run/checkpoints/step-00000010/notes.txt", Data())
        let outcome = try strata("checkpoint", "verify", run)
        #expect(outcome.status == 65, "\(outcome)")
        #expect(outcome.stdout == "update 5: 1 problem\nupdate 10: 2 problems\nupdate 12: sound\n")
        let errors = outcome.stderr.split(separator: "\n")
        #expect(
            errors.count == 3 && errors.allSatisfy { $0.hasPrefix("strata: error: \(run)/checkpoints/step-000000") },
            "\(outcome)")
        for text in ["its checksum must be", "but has 0", "notes.txt: the manifest does not list it"] {
            #expect(outcome.stderr.contains(text))
        }
        // The cut file shows without reading it.
        #expect(try list().compactMap { $0["complete"] as? Bool } == [true, false, true])
        #expect(try strata("checkpoint", "list", run).stdout.contains("damaged"))
    }

    @Test func pruneKeepsTheNewestAndTheBest() throws {
        let dry = try strata("checkpoint", "prune", run, "--keep", "1", "--keep-best", "0", "--dry-run")
        #expect(dry.status == 0 && dry.stdout.hasPrefix("would remove \(run)/checkpoints/step-00000005\n"), "\(dry)")
        #expect(try list().count == 3)
        // A damaged checkpoint is no reason to remove a sound one.
        try folder.write("run/checkpoints/step-00000012/manifest.json", Data())
        let outcome = try strata("checkpoint", "prune", run, "--keep", "1", "--keep-best", "0")
        #expect(
            outcome.status == 0 && outcome.stderr.contains("warning: \(run)/checkpoints/step-00000012/manifest.json"),
            "\(outcome)")
        #expect(outcome.stdout.hasSuffix(" MiB freed\n"), "\(outcome)")
        #expect(try folder.names("run/checkpoints") == ["latest", "step-00000010", "step-00000012"])
        expectError(try strata("checkpoint", "prune", run, "--keep", "0"), 64, "--keep must be at least 1, but is 0")
    }

    @Test func aRunWithoutCheckpointsHasNoneToVerify() throws {
        try FileManager.default.removeItem(atPath: "\(run)/checkpoints")
        for arguments in [
            ["checkpoint", "verify", run], ["export", run, "--out", "\(folder.path)/export"],
            ["translate", run, "--direction", "eng-cat"], ["evaluate", run],
        ] {
            expectError(try Launch.alone.strata(arguments), 65, "\(run)/checkpoints: there is no checkpoint: train first\n")
        }
        #expect(try list().isEmpty)
        let text = try strata("checkpoint", "list", run)
        #expect(text.status == 0 && text.stdout == "\(run)/checkpoints: there is no checkpoint\n", "\(text)")
        let pruned = try strata("checkpoint", "prune", run, "--keep", "1")
        #expect(
            pruned.status == 0 && pruned.stdout == "\(run)/checkpoints: there is no checkpoint, and nothing to remove\n",
            "\(pruned)")
        expectError(try strata("checkpoint", "list", "/nowhere"), 64, "/nowhere: must be the folder of a run")
    }

    @Test func eachHasHelpWithAnExample() throws {
        for command in [
            ["checkpoint"], ["checkpoint", "list"], ["checkpoint", "verify"], ["checkpoint", "prune"], ["export"],
        ] {
            let outcome = try Launch.alone.strata(command + ["--help"])
            #expect(outcome.status == 0 && outcome.stdout.contains("Example:"), "\(command): \(outcome)")
        }
    }

    @Test func aCheckpointIsChosen() throws {
        func translate(_ checkpoint: String) throws -> Subprocess.Outcome {
            try Launch.alone.strata(
                ["translate", run, "--direction", "eng-cat", "--beam", "1", "--checkpoint", checkpoint], input: "forty-two\n")
        }
        for checkpoint in ["latest", "best", "5"] { #expect(try translate(checkpoint).status == 0) }
        expectError(try translate("7"), 64, "there is no checkpoint of update 7; there are 5, 10, 12")
        expectError(try translate("newest"), 64, "--checkpoint must be latest, best or the number of an update, but is newest")
        try folder.damage("run/checkpoints/step-00000005/shard-00000.safetensors")
        expectError(try translate("5"), 65, "the checkpoint is damaged")
        let evaluated = try strata(
            "evaluate", run, "--limit", "1", "--beam", "1", "--checkpoint", "10", "--direction", "eng-cat")
        #expect(evaluated.status == 0 && evaluated.stderr.contains("update 10,"), "\(evaluated)")
    }
}
