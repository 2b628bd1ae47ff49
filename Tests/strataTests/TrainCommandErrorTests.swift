import Foundation
import Testing
import _TestSupport

/// What `strata train` refuses, on any number of ranks: with a status, a message said once, and no hang.
@Suite(.serialized, .hangLimit) struct TrainCommandErrorTests {
    private let folder = CommandLineFolder()
    private var out: String { "\(folder.path)/run" }

    private func train(_ launch: Launch, _ options: String...) throws -> Subprocess.Outcome {
        try launch.strata(["train", TinyCommandLine.configuration, "--out", out] + options)
    }

    @Test(arguments: Launch.onOneAndTwo) func aMisspelledKey(launch: Launch) throws {
        let outcome = try train(launch, "--set", "training.updats=3")
        expectError(outcome, 64, "training.updats is not a key; did you mean training.updates?")
        #expect(!folder.exists("run"))
    }

    @Test(arguments: Launch.onOneAndTwo) func aConfigurationThatIsNotThere(launch: Launch) throws {
        let outcome = try launch.strata(["train", "\(folder.path)/none.yaml", "--out", out])
        expectError(outcome, 64, "\(folder.path)/none.yaml: must be a readable file")
    }

    @Test(arguments: Launch.onOneAndTwo) func dataThatIsNotPrepared(launch: Launch) throws {
        let outcome = try train(launch, "--set", "data.prepared=\(folder.path)/none")
        expectError(outcome, 65, "\(folder.path)/none: must be a prepared folder", "run strata prepare")
        #expect(!folder.exists("run"))
    }

    @Test(arguments: Launch.onOneAndTwo) func expertsThatCannotBeSpread(launch: Launch) throws {
        let ranks = launch == .alone ? 2 : 3
        let outcome = try train(launch, "--set", "parallel.expert_parallel=\(ranks)", "--set", "model.moe.strata=[4,4]")
        expectError(outcome, 64, "parallel.expert_parallel must divide the number of ranks, \(ranks - 1), but is \(ranks)")
    }

    @Test(arguments: Launch.onOneAndTwo) func aDamagedPreparedShard(launch: Launch) throws {
        try folder.copy(TinyCommandLine.data, to: "prepared")
        try folder.damage("prepared/train.eng-cat.cat.tokens")
        let outcome = try train(launch, "--set", "data.prepared=\(folder.path)/prepared")
        expectError(outcome, 65, "prepared/train.eng-cat.cat.tokens: must have the checksum")
    }

    @Test(arguments: Launch.onOneAndTwo) func aRunThatExists(launch: Launch) throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        let log = try folder.data("run/metrics.jsonl")
        expectError(try train(launch), 64, "the folder already holds a run; add --resume")
        #expect(try folder.data("run/metrics.jsonl") == log)
    }

    /// One that was ended before its first checkpoint is a run as well.
    @Test(arguments: ["config.yaml", "metrics.jsonl"]) func aRunWithoutCheckpoints(name: String) throws {
        try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true)
        try folder.write("run/\(name)", TinyCommandLine.runs.data("run/\(name)"))
        expectError(try train(.alone), 64, "the folder already holds a run; add --resume")
        #expect(try folder.names("run") == [name])
    }

    /// The ids of the checkpoint's embeddings would mean other text.
    @Test func anotherTokenizerThanTheRuns() throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let other = fixtures.appendingPathComponent("Fixtures/old-run/run/tokenizer.model")
        try folder.write("run/tokenizer.model", Data(contentsOf: other))
        expectError(
            try train(.alone, "--resume", "--set", "training.updates=13"), 65,
            "sentencepiece.model: must have the tokens of \(out)/tokenizer.model")
    }

    @Test(arguments: Launch.onOneAndTwo) func whatIsNoRun(launch: Launch) throws {
        #expect(try Launch.alone.strata(["export", TinyCommandLine.run, "--out", out]).status == 0)
        let before = try folder.names("run")
        expectError(
            try train(launch, "--resume"), 64, "run: must be a new folder or that of a run, but holds an export; name another")
        #expect(try folder.names("run") == before)
        let outcome = try launch.strata(["train", TinyCommandLine.configuration, "--out", TinyCommandLine.data])
        expectError(outcome, 64, "must be a new folder or that of a run, but holds prepared data")
    }

    @Test(arguments: Launch.onOneAndTwo) func fewerUpdatesThanAreDone(launch: Launch) throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        let names = ["run/metrics.jsonl", "run/config.yaml"], before = try names.map(folder.data)
        expectError(
            try train(launch, "--resume", "--set", "training.updates=2"), 64,
            "training.updates must be at least 12, the update of \(out)/checkpoints/step-00000012, but is 2")
        #expect(try names.map(folder.data) == before)
    }

    @Test(arguments: Launch.onOneAndTwo) func aProfileThatCannotBeWritten(launch: Launch) throws {
        expectError(
            try train(launch, "--profile", "\(folder.path)/none/trace.json"), 74, "none/trace.json: creating the profile failed"
        )
        #expect(!folder.exists("run"))
    }

    @Test(arguments: Launch.onOneAndTwo) func aFolderThatCannotBeWritten(launch: Launch) throws {
        try folder.write("file", Data())
        let outcome = try launch.strata(["train", TinyCommandLine.configuration, "--out", "\(folder.path)/file/run"])
        expectError(outcome, 74, "\(folder.path)/file: must be a folder, but is a file")
    }

    @Test(arguments: Launch.onOneAndTwo) func checkpointsThatCannotBeWritten(launch: Launch) throws {
        try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true)
        // To a disk that is not there.
        try FileManager.default.createSymbolicLink(atPath: "\(out)/checkpoints", withDestinationPath: "\(folder.path)/none")
        let outcome = try train(launch)
        expectError(
            outcome, 74, "warning: the checkpoint of update 5 was not written", "(2 not written so far)",
            "strata: error: the checkpoint of update 12 was not written")
        #expect(outcome.stderr.contains("rank 0: \(out)/checkpoints/step-00000012.partial: creating the folder failed"))
    }

    /// What cannot be read may be all there: nothing begins anew, and nothing older is gone on from.
    @Test(arguments: Launch.onOneAndTwo, ["checkpoints", "checkpoints/step-00000012/shard-00000.safetensors"])
    func checkpointsThatCannotBeRead(launch: Launch, name: String) throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        try FileManager.default.moveItem(atPath: "\(out)/\(name)", toPath: "\(folder.path)/away")
        try FileManager.default.createSymbolicLink(atPath: "\(out)/\(name)", withDestinationPath: "\(out)/\(name)")
        let log = try folder.data("run/metrics.jsonl")
        let outcome = try train(launch, "--resume", "--set", "training.updates=14")
        let operation = name == "checkpoints" ? "listing" : "opening"
        expectError(outcome, 74, "strata: error: \(out)/\(name): \(operation) failed: Too many levels of symbolic links")
        #expect(try folder.data("run/metrics.jsonl") == log)
    }

    @Test(arguments: Launch.onOneAndTwo) func aDamagedCheckpointIsPassedOver(launch: Launch) throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        try folder.damage("run/checkpoints/step-00000012/shard-00000.safetensors")
        let outcome = try train(launch, "--resume", "--set", "training.updates=13")
        #expect(outcome.status == 0, "\(outcome)")
        let warnings = outcome.stderr.split(separator: "\n").filter { $0.hasPrefix("warning: ") }
        #expect(warnings.count == 1)
        #expect(warnings[0].contains("step-00000012/shard-00000.safetensors: its checksum must be"))
        #expect(outcome.stderr.contains("resuming from \(out)/checkpoints/step-00000010\n"))
        #expect(try folder.losses("run").count == 13)
    }

    @Test(arguments: Launch.onOneAndTwo) func damagedCheckpointsAlone(launch: Launch) throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        for step in ["05", "10", "12"] { try folder.damage("run/checkpoints/step-000000\(step)/manifest.json") }
        let log = try folder.data("run/metrics.jsonl")
        let outcome = try train(launch, "--resume")
        #expect(outcome.status == 65, "\(outcome)")
        let errors = outcome.stderr.split(separator: "\n").filter { $0.hasPrefix("strata: error: ") }
        #expect(errors.count == 4 && errors[0].hasSuffix("there is no sound checkpoint:"), "\(outcome)")
        #expect(try folder.data("run/metrics.jsonl") == log)
    }

    @Test(arguments: Launch.onOneAndTwo) func aCheckpointOfAnotherModel(launch: Launch) throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        let outcome = try train(launch, "--resume", "--set", "model.ffn_dim=48", "--set", "training.updates=14")
        expectError(outcome, 64, "model.ffn_dim was 32, but is 48")
    }

    /// Every update is skipped, on every rank alike, until it is too much.
    @Test(arguments: Launch.onOneAndTwo) func trainingThatDiverges(launch: Launch) throws {
        let outcome = try train(
            launch, "--set", "training.learning_rate=1e30", "--set", "training.warmup=0", "--set", "training.updates=100")
        expectError(outcome, 65, "training has diverged: 11 updates in a row")
    }

    /// Found by every rank before there is a world.
    @Test(arguments: [Launch.alone, .mpirun(2), .mpirun(4)]) func aMisspelledOption(launch: Launch) throws {
        let outcome = try launch.strata(["train", TinyCommandLine.configuration, "--out", out, "--owt"])
        expectError(outcome, 64, "Unknown option '--owt'")
    }

    @Test func simulatedRanksUnderMpirun() throws {
        expectError(try train(.mpirun(2), "--simulate-ranks", "2"), 64, "--simulate-ranks is for one process alone")
    }

    @Test(arguments: ["0", "-1", "257"]) func impossibleNumbersOfSimulatedRanks(ranks: String) throws {
        expectError(try train(.alone, "--simulate-ranks=\(ranks)"), 64, "--simulate-ranks must be 1 to 256, but is \(ranks)")
    }
}
