import Files
import Foundation
import Testing
import _TestSupport

/// `strata export`, and what takes an export in place of a run.
@Suite(.serialized, .hangLimit) struct ExportCommandTests {
    private let folder = CommandLineFolder()
    private var out: String { "\(folder.path)/export" }

    private func export(_ run: String = TinyCommandLine.run, _ options: String...) throws -> Subprocess.Outcome {
        try Launch.alone.strata(["export", run, "--out", out] + options)
    }

    @Test func theParametersAreTheCheckpoints() throws {
        let outcome = try export()
        #expect(outcome.status == 0 && outcome.stdout.hasPrefix("update 12, "), "\(outcome)")
        #expect(try folder.names("export") == ["config.json", "config.yaml", "model.safetensors", "tokenizer.model"])
        #expect(try folder.names("") == ["export"], "nothing unfinished is left")
        let model = try SafeTensorsFile(path: "\(out)/model.safetensors")
        let shard = try SafeTensorsFile(path: "\(TinyCommandLine.run)/checkpoints/step-00000012/shard-00000.safetensors")
        #expect(Set(model.entries.keys) == Set(shard.entries.keys.filter { !$0.hasPrefix("adam.") }))
        #expect(model.entries["decoder.layers.1.moe.experts.3.fc1.weight"]?.shape == [32, 16])
        for name in model.entries.keys {
            #expect(
                model.entries[name]?.shape == shard.entries[name]?.shape && model.floats(name) == shard.floats(name), "\(name)")
        }
        let config = try #require(try JSONSerialization.jsonObject(with: folder.data("export/config.json")) as? [String: Any])
        #expect(config["format"] as? String == "strata-export" && config["step"] as? Int == 12)
        #expect(config["languages"] as? [String] == ["cat", "eng", "isl"])
        #expect(config["vocabulary"] as? Int == model.entries["embedding.weight"]?.shape[0])
        let configuration = try #require(config["configuration"] as? [String: Any]),
            shape = configuration["model"] as? [String: Any]
        #expect(shape?["dim"] as? Int == 16 && shape?["dropout"] as? Double == 0.1)
        #expect((shape?["moe"] as? [String: Any])?["strata"] as? [Int] == [2, 2])
        #expect((configuration["parallel"] as? [String: Any])?["expert_parallel"] as? String == "auto")
    }

    /// Shards of four ranks, and pieces of them where moments are spread, are one model.
    @Test func anExportOfSeveralRanksIsThatOfOne() throws {
        let trained = try Launch.simulated(4).strata([
            "train", TinyCommandLine.configuration, "--out", "\(folder.path)/run", "--set", "training.updates=2",
        ])
        #expect(trained.status == 0, "\(trained)")
        #expect(try export("\(folder.path)/run").status == 0)
        let again = try Launch.alone.strata([
            "train", TinyCommandLine.configuration, "--out", "\(folder.path)/run", "--resume", "--set", "training.updates=2",
        ])
        #expect(again.status == 0, "\(again)")
        let model = try SafeTensorsFile(path: "\(out)/model.safetensors")
        let whole = try SafeTensorsFile(path: "\(TinyCommandLine.run)/checkpoints/step-00000012/shard-00000.safetensors")
        #expect(Set(model.entries.keys) == Set(whole.entries.keys.filter { !$0.hasPrefix("adam.") }))
        #expect(model.entries.values.allSatisfy { $0.shape == whole.entries[$0.name]?.shape })
    }

    /// The moving average under the parameters' names, and what takes it.
    @Test func theAverageInTheParametersPlace() throws {
        let trained = try Launch.alone.strata([
            "train", TinyCommandLine.configuration, "--out", "\(folder.path)/run", "--set", "training.updates=4", "--set",
            "training.average_decay=0.9", "--set", "training.schedule=cosine", "--set", "training.weight_decay=0.01",
        ])
        try #require(trained.status == 0, "\(trained)")
        #expect(try export("\(folder.path)/run", "--average").status == 0)
        let model = try SafeTensorsFile(path: "\(out)/model.safetensors")
        let shard = try SafeTensorsFile(path: "\(folder.path)/run/checkpoints/step-00000004/shard-00000.safetensors")
        #expect(model.entries.count * 4 == shard.entries.count)
        #expect(model.entries.keys.allSatisfy { model.floats($0) == shard.floats("average.\($0)") })
        #expect(model.floats("embedding.weight") != shard.floats("embedding.weight"))
        let evaluated = try Launch.alone.strata(["evaluate", "\(folder.path)/run", "--average", "--beam", "1"])
        #expect(evaluated.status == 0, "\(evaluated)")
        expectError(
            try Launch.alone.strata(["evaluate", TinyCommandLine.run, "--average"]), 64, "has no average of the parameters")
        expectError(try Launch.alone.strata(["evaluate", out, "--average"]), 64, "--average is for the folder of a run")
    }

    @Test func anExportTranslatesAndIsEvaluatedAsTheRun() throws {
        #expect(try export(TinyCommandLine.run, "--checkpoint", "10").status == 0)
        func run(_ arguments: [String]) throws -> String {
            let outcome = try Launch.alone.strata(arguments, input: "forty-two\nnine hundred\n")
            #expect(outcome.status == 0, "\(outcome)")
            return outcome.stdout
        }
        for options in [["--direction", "eng-cat", "--beam", "2"]] {
            #expect(
                try run(["translate", out] + options)
                    == run(["translate", TinyCommandLine.run, "--checkpoint", "10"] + options))
        }
        let evaluation = ["--limit", "2", "--beam", "1", "--json"]
        #expect(
            try run(["evaluate", out] + evaluation)
                == run(["evaluate", TinyCommandLine.run, "--checkpoint", "10"] + evaluation))
        expectError(
            try Launch.alone.strata(["translate", out, "--direction", "eng-cat", "--checkpoint", "best"]), 64,
            "--checkpoint is for the folder of a run")
        try folder.damage("export/model.safetensors")
        expectError(
            try Launch.alone.strata(["translate", out, "--direction", "eng-cat"], input: "one\n"), 65,
            "model.safetensors: its checksum must be")
    }

    @Test func aFolderThatExistsIsLeftAlone() throws {
        try folder.write("export", Data("mine".utf8))
        expectError(try export(), 64, "--out \(out): must be a new folder, but exists")
        #expect(try folder.data("export") == Data("mine".utf8))
    }

    @Test func anExportHasNoCheckpoints() throws {
        #expect(try export(TinyCommandLine.run).status == 0)
        for arguments in [
            ["checkpoint", "list", out], ["checkpoint", "verify", out], ["checkpoint", "prune", out, "--keep", "1"],
            ["export", out, "--out", "\(folder.path)/again"],
        ] {
            expectError(
                try Launch.alone.strata(arguments), 64,
                "\(out): must be the folder of a run, but is an export, one model without checkpoints")
        }
    }

    /// A tilde that the shell has left is a name like any other.
    @Test func thePathIsTakenAsItIs() throws {
        try FileManager.default.createDirectory(atPath: "\(folder.path)/~", withIntermediateDirectories: false)
        let outcome = try Subprocess.run(
            "sh",
            [
                "-c", "cd \"$1\" && shift && exec \"$@\"", "sh", folder.path, BuiltProducts.path("strata"), "export",
                TinyCommandLine.run, "--out", "~/export//",
            ],
            environment: ["HOME": "\(folder.path)/home"], timeout: 60)
        #expect(outcome.status == 0 && folder.exists("~/export/config.yaml") && !folder.exists("home"), "\(outcome)")
        #expect(outcome.stdout.contains(" MiB, in ~/export//"), "\(outcome)")
    }

    @Test func whatCannotBeWrittenLeavesNothing() throws {
        try folder.write("file", Data())
        let outcome = try Launch.alone.strata(["export", TinyCommandLine.run, "--out", "\(folder.path)/file/export"])
        expectError(outcome, 74, "\(folder.path)/file: must be a folder, but is a file")
        #expect(try folder.names("") == ["file"])
    }
}
