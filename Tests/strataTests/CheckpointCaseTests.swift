import Foundation
import Testing
import _TestSupport

/// Cases of users about what can be resumed from and what is read of a run that is being trained.
@Suite(.serialized, .hangLimit) struct CheckpointCaseTests {
    @Test func aDivergedRunKeepsWhatItCanBeResumedFrom() throws {
        let run = try ReportedCase("diverged-checkpoints")
        try run.train()
        let sound = ["step-00000002", "step-00000004", "step-00000006"]
        #expect(try run.checkpoints() == sound)
        let diverged = try run.configured(
            "train", "--out", run.run, "--resume", settings: ["training.updates": "60", "training.learning_rate": "1e30"])
        #expect(diverged.status == 65 && diverged.stderr.contains("training has diverged"), "\(diverged)")
        #expect(try run.checkpoints() == sound)
        let resumed = try run.configured(
            "train", "--out", run.run, "--resume", settings: ["training.updates": "20", "training.learning_rate": "1e-4"])
        #expect(resumed.status == 0, "\(resumed)")
        #expect(try run.checkpoints().last == "step-00000020")
    }

    /// The last sound update may be one that a checkpoint is due at: its parameters are ruined, and nobody knows yet.
    @Test func aCheckpointThatNobodyKnowsToBeSoundRemovesNone() throws {
        let run = try ReportedCase("diverged-checkpoints")
        try run.train(settings: ["checkpoint.keep": "1"])
        for asynchronous in ["true", "false"] {
            let diverged = try run.configured(
                "train", "--out", run.run, "--resume",
                settings: [
                    "training.updates": "60", "training.learning_rate": "1e30", "checkpoint.every": "1", "checkpoint.keep": "1",
                    "checkpoint.asynchronous": asynchronous,
                ])
            #expect(diverged.status == 65, "\(diverged)")
            #expect(try run.checkpoints().contains("step-00000006"))
            for name in try run.checkpoints() where name > "step-00000006" {
                try FileManager.default.removeItem(atPath: "\(run.run)/checkpoints/\(name)")
            }
        }
    }

    /// Commands that start while a training puts one checkpoint in the place of another.
    @Test func aRunIsReadWhileItIsTrained() throws {
        let run = try ReportedCase("translate-while-training")
        let prepared = try run.configured("prepare")
        try #require(prepared.status == 0, "\(prepared)")
        let training = Process()
        training.executableURL = URL(fileURLWithPath: try BuiltProducts.path("strata"))
        training.arguments =
            ["train", "\(run.folder.path)/case/case.yaml", "--out", run.run]
            + ["data.path=\(run.folder.path)/case/text", "data.prepared=\(run.folder.path)/prepared", "model.dim=64"].flatMap {
                ["--set", $0]
            }
        training.standardError = FileHandle.nullDevice
        try training.run()
        defer {
            training.terminate()
            training.waitUntilExit()
        }
        while training.isRunning, !run.folder.exists("run/checkpoints/latest") { usleep(20_000) }
        for index in 0..<3 {
            for arguments in [
                ["translate", run.run, "--direction", "en-de", "--beam", "1"], ["checkpoint", "list", run.run],
                ["checkpoint", "verify", run.run], ["export", run.run, "--out", "\(run.folder.path)/export-\(index)"],
                ["evaluate", run.run, "--split", "valid", "--beam", "1"],
            ] {
                let outcome = try Launch.alone.strata(arguments, input: "ann sees a dog.\n")
                #expect(outcome.status == 0 && !outcome.stderr.contains("damaged"), "\(arguments): \(outcome)")
            }
        }
        #expect(training.isRunning)
    }
}
