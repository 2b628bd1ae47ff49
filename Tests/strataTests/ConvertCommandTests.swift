import Foundation
import Synchronization
import Testing
import _TestSupport

/// `strata convert`, and `strata train --from` with what it makes.
@Suite(.serialized, .hangLimit) struct ConvertCommandTests {
    private let folder = CommandLineFolder()

    /// Without dropout and dropped choices: a first loss is that of the parameters that a run begins with.
    private func train(_ run: String, updates: Int, _ options: [String], from: String? = nil) throws -> Subprocess.Outcome {
        let settings = ["model.dropout=0", "model.attention_dropout=0", "training.updates=\(updates)"] + options
        return try Launch.alone.strata(
            ["train", TinyCommandLine.configuration, "--out", "\(folder.path)/\(run)"] + settings.flatMap { ["--set", $0] }
                + (from.map { ["--from", "\(folder.path)/\($0)"] } ?? []))
    }

    @Test func aDenseRunGoesOnAsAMixture() throws {
        let dense = try train("dense", updates: 4, ["model.moe=none"])
        try #require(dense.status == 0, "\(dense)")
        let converted = try Launch.alone.strata(
            ["convert", "upcycle", "\(folder.path)/dense", "--strata", "2,2", "--out", "\(folder.path)/upcycled", "--verify"])
        #expect(
            converted.status == 0 && converted.stdout.contains("strata 2-2 of update 4, the same function to rounding, ")
                && converted.stdout.hasPrefix("loss "), "\(converted)")
        let config = try #require(try JSONSerialization.jsonObject(with: folder.data("upcycled/config.json")) as? [String: Any])
        #expect((config["history"] as? [String])?.first?.hasPrefix("upcycled into strata [2, 2], every 2, top-2") == true)
        let mixture = ["model.moe={strata: [2, 2], capacity_factor: none, stratum_scale: true, aux_loss_weight: 0}"]
        let goesOn = try train("goes-on", updates: 2, ["model.moe=none"], from: "dense")
        #expect(goesOn.status == 0 && goesOn.stderr.contains("beginning with update 4 of"), "\(goesOn)")
        let upcycled = try train("upcycled-run", updates: 2, mixture, from: "upcycled")
        #expect(upcycled.status == 0, "\(upcycled)")
        let (expected, losses) = (try folder.losses("goes-on"), try folder.losses("upcycled-run"))
        #expect(abs(losses[0] - expected[0]) < 1e-5 * expected[0], "\(losses), dense \(expected)")
        #expect(losses[1] < losses[0])
        // A run that goes on takes no notice of what it began with.
        let resumed = try Launch.alone.strata(
            [
                "train", "\(folder.path)/upcycled-run/config.yaml", "--out", "\(folder.path)/upcycled-run", "--resume",
                "--from", "\(folder.path)/upcycled", "--set", "training.updates=3",
            ])
        #expect(resumed.status == 0 && !resumed.stderr.contains("beginning with"), "\(resumed)")
    }

    /// Adapters over a dense model, trained alone: its other parameters stay, without moments; the run goes on so, and not otherwise.
    @Test func adaptersAreTrainedAlone() throws {
        let dense = try train("dense", updates: 2, ["model.moe=none"])
        try #require(dense.status == 0, "\(dense)")
        let converted = try Launch.alone.strata(
            [
                "convert", "upcycle", "\(folder.path)/dense", "--strata", "2,2", "--adapters", "4", "--top-k", "1", "--out",
                "\(folder.path)/adapted",
            ])
        try #require(converted.status == 0, "\(converted)")
        let settings = ["model.moe={strata: [2, 2], top_k: 1, adapters: {dim: 4}}", "training.train=adapters"]
        let trained = try train("trained", updates: 4, settings, from: "adapted")
        #expect(trained.status == 0 && trained.stderr.contains("are trained; "), "\(trained)")
        #expect(try folder.losses("trained").count == 4)
        let shards = "\(folder.path)/trained/checkpoints/step-00000004"
        let headers = try FileManager.default.contentsOfDirectory(atPath: shards).filter { $0.hasSuffix("safetensors") }.map {
            String(decoding: try folder.data("trained/checkpoints/step-00000004/\($0)").prefix(100_000), as: UTF8.self)
        }.joined()
        #expect(headers.contains("adam.m.encoder.layers.1.moe.experts.0.adapter.up.weight"))
        #expect(headers.contains("embedding.weight") && !headers.contains("adam.m.embedding.weight"))
        func goOn(_ train: String) throws -> Subprocess.Outcome {
            try Launch.alone.strata(
                [
                    "train", "\(folder.path)/trained/config.yaml", "--out", "\(folder.path)/trained", "--resume", "--set",
                    "training.updates=5", "--set", "training.train=\(train)",
                ])
        }
        expectError(try goOn("all"), 64, "training.train was adapters, but is absent")
        expectError(try goOn("[\"*.adapters.*\"]"), 64, "\"*.adapters.*\" fits none")
        let resumed = try goOn("adapters")
        #expect(resumed.status == 0, "\(resumed)")
    }

    /// All experts: the first loss of a run is the dense model's. Half of them: another model, that translates.
    @Test func aDenseRunIsSplit() throws {
        let dense = try train("dense", updates: 2, ["model.moe=none"])
        try #require(dense.status == 0, "\(dense)")
        func split(_ out: String, _ options: String...) throws -> Subprocess.Outcome {
            try Launch.alone.strata(
                ["convert", "moefy", "\(folder.path)/dense", "--out", "\(folder.path)/\(out)", "--calibration-tokens", "200"]
                    + options)
        }
        let whole = try split("whole", "--strata", "2,2", "--top-k", "4", "--router", "similarity")
        #expect(whole.status == 0 && whole.stdout.contains("strata 2-2 of update 2, the same function to rounding"), "\(whole)")
        let half = try split("half", "--strata", "4", "--top-k", "2")
        #expect(
            half.status == 0 && half.stdout.contains("2 of 4 experts at a gate") && half.stdout.contains("at best"), "\(half)")
        let settings = try String(decoding: folder.data("whole/config.yaml"), as: UTF8.self)
        #expect(settings.contains("combine: sum") && settings.contains("input: entry"))
        let begun = try Launch.alone.strata(
            [
                "train", "\(folder.path)/whole/config.yaml", "--out", "\(folder.path)/begun", "--from", "\(folder.path)/whole",
                "--set",
                "training.updates=1",
            ])
        #expect(begun.status == 0, "\(begun)")
        let goesOn = try train("goes-on", updates: 1, ["model.moe=none"], from: "dense")
        #expect(goesOn.status == 0)
        let (expected, losses) = (try folder.losses("goes-on"), try folder.losses("begun"))
        #expect(abs(losses[0] - expected[0]) < 1e-5 * expected[0], "\(losses), dense \(expected)")
        let translated = try Launch.alone.strata(
            ["translate", "\(folder.path)/half", "--direction", "eng-cat", "--beam", "1"], input: "seven\n")
        #expect(translated.status == 0, "\(translated)")
        expectError(try split("other", "--strata", "4", "--top-k", "5"), 64, "--top-k must be 1 to the experts, 4, but is 5")
        expectError(
            try split("other", "--strata", "4", "--top-k", "1", "--router", "best"), 64,
            "--router must be one of mlp, linear, similarity, but is best")
        #expect(!folder.exists("other"))
    }

    /// A run that began with another model, and has no checkpoint yet, begins with it again.
    @Test func aRunKnowsWhatItBeganWith() throws {
        let dense = try train("dense", updates: 2, ["model.moe=none"])
        try #require(dense.status == 0, "\(dense)")
        let begun = try train("begun", updates: 1, ["model.moe=none"], from: "dense")
        try #require(begun.status == 0, "\(begun)")
        let first = try folder.losses("begun")
        try FileManager.default.removeItem(atPath: "\(folder.path)/begun/checkpoints")
        func resume(_ options: String...) throws -> Subprocess.Outcome {
            try Launch.alone.strata(
                ["train", "\(folder.path)/begun/config.yaml", "--out", "\(folder.path)/begun", "--resume"] + options)
        }
        let again = try resume()
        #expect(again.status == 0 && again.stderr.contains("beginning with update 2 of"), "\(again)")
        #expect(try folder.losses("begun") == first)
        try FileManager.default.removeItem(atPath: "\(folder.path)/begun/checkpoints")
        try folder.copy("\(folder.path)/dense", to: "copy")
        expectError(try resume("--from", "\(folder.path)/copy"), 64, "from.json: the run began with update 2 of")
        let more = try train("dense", updates: 3, ["model.moe=none"])
        #expect(more.status == 64, "there is a run")
        try FileManager.default.removeItem(atPath: "\(folder.path)/dense")
        let absent = try resume()
        #expect(absent.status != 0 && absent.stderr.contains("dense"), "\(absent)")
    }

    @Test func aRunsExpertsAreMerged() throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        let run = "\(folder.path)/run", out = "\(folder.path)/merged"
        func merge(_ options: String...) throws -> Subprocess.Outcome {
            try Launch.alone.strata(["convert", "merge", run, "--calibration-tokens", "200"] + options)
        }
        expectError(
            try merge("--groups", "1,1", "--out", out), 65, "analysis.json: must be what strata analyze wrote, but is absent")
        let shown = try merge("--groups", "1,1", "--weights", "uniform", "--dry-run")
        #expect(shown.status == 0 && shown.stdout.contains("0.500 0.500") && !folder.exists("merged"), "\(shown)")
        let merged = try merge("--groups", "1,1", "--weights", "uniform", "--out", out, "--verify")
        #expect(merged.status == 0 && merged.stdout.contains("logits differ by up to"), "\(merged)")
        #expect(merged.stdout.contains("strata 1-1 of update 12, "), "\(merged)")
        let translated = try Launch.alone.strata(["translate", out, "--direction", "eng-cat", "--beam", "1"], input: "seven\n")
        #expect(translated.status == 0, "\(translated)")
        expectError(
            try merge("--groups", "3,1", "--weights", "uniform", "--dry-run"), 64,
            "--groups must have a number from 1 to the experts")
        expectError(
            try merge("--groups", "1,1", "--decoder-groups", "3,1", "--weights", "uniform", "--dry-run"), 64,
            "--decoder-groups must have a number from 1 to the experts")
        expectError(
            try merge("--groups", "1,1", "--metric", "best", "--dry-run"), 64, "--metric must be one of cka, parameters")
    }

    @Test func aRunLosesHalfItsExperts() throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        let run = "\(folder.path)/run", out = "\(folder.path)/half"
        func prune(_ options: String...) throws -> Subprocess.Outcome {
            try Launch.alone.strata(["convert", "prune", run] + options)
        }
        expectError(
            try prune("--keep", "0.5", "--out", out), 65, "analysis.json: must be what strata analyze wrote, but is absent")
        let drawn = try prune("--keep", "0.5", "--by", "random", "--dry-run")
        #expect(drawn.status == 0 && drawn.stdout.contains("decoder.layers.1.moe        1"), "\(drawn)")
        let analyzed = try Launch.alone.strata(["analyze", run])
        try #require(analyzed.status == 0, "\(analyzed)")
        let shown = try prune("--keep", "0.5", "--dry-run")
        #expect(shown.status == 0 && shown.stdout.contains("encoder.layers.1.moe") && !folder.exists("half"), "\(shown)")
        let pruned = try prune("--keep", "0.5", "--out", out)
        #expect(pruned.status == 0 && pruned.stdout.hasPrefix(shown.stdout), "\(pruned)")
        #expect(pruned.stdout.contains("strata 1-1 of update 12, "), "\(pruned)")
        let translated = try Launch.alone.strata(["translate", out, "--direction", "eng-cat", "--beam", "1"], input: "seven\n")
        #expect(translated.status == 0 && translated.stdout.hasSuffix("\n"), "\(translated)")
        // All experts: the same translations.
        let whole = try prune("--keep", "1", "--out", "\(folder.path)/whole")
        #expect(whole.status == 0, "\(whole)")
        let lines = try [run, "\(folder.path)/whole"].map {
            try Launch.alone.strata(["translate", $0, "--direction", "eng-cat", "--scores"], input: "seven\nforty-two\n").stdout
        }
        #expect(lines[0] == lines[1])
        let one = try prune("--keep", "0.5", "--direction", "eng-cat", "--out", "\(folder.path)/one")
        #expect(one.status == 0, "\(one)")
        let history = try String(decoding: folder.data("one/config.json"), as: UTF8.self)
        #expect(history.contains("experts by importance for eng-cat, kept"))
        expectError(
            try prune("--keep", "0.5", "--direction", "eng-xxx", "--dry-run"), 64, "--direction must be one of the analysis, ")
        // Sides of their own: a mixture for every command.
        let sides = try prune("--keep", "0.5", "--decoder-keep", "1", "--out", "\(folder.path)/sides", "--verify")
        #expect(sides.status == 0 && sides.stdout.contains("strata 1-1, decoder 2-2 of update 12, "), "\(sides)")
        let goesOn = try Launch.mpirun(2).strata([
            "train", "\(folder.path)/sides/config.yaml", "--from", "\(folder.path)/sides", "--out", "\(folder.path)/on",
            "--set",
            "training.updates=2",
        ])
        #expect(goesOn.status == 0 && goesOn.stderr.contains("strata 1-1, decoder 2-2, top-2"), "\(goesOn)")
        for arguments in [
            ["analyze", "\(folder.path)/on"], ["evaluate", "\(folder.path)/on", "--beam", "1", "--limit", "2"],
            ["report", "\(folder.path)/on", "--out", "\(folder.path)/report.html"], ["plan", "\(folder.path)/on/config.yaml"],
            [
                "convert", "merge", "\(folder.path)/on", "--groups", "1,1", "--decoder-groups", "2,1", "--calibration-tokens",
                "200",
                "--out", "\(folder.path)/merged",
            ],
            ["translate", "\(folder.path)/merged", "--direction", "eng-cat", "--beam", "1"],
        ] {
            let outcome = try Launch.alone.strata(arguments, input: "seven\n")
            #expect(outcome.status == 0, "\(arguments): \(outcome)")
        }
        #expect(try String(decoding: folder.data("merged/config.yaml"), as: UTF8.self).contains("decoder_strata: [2, 1]"))
        expectError(
            try prune("--keep", "0.5", "--analysis", "\(folder.path)/on/analysis/analysis.json", "--dry-run"), 64,
            "must be of strata [2, 2], but is of [1, 1], decoder [2, 2]")
        expectError(
            try prune("--keep", "1", "--decoder-keep", "2", "--dry-run"), 64, "--decoder-keep must be above 0 and at most 1")
        // A list of one's own.
        try Data(#"{"encoder.layers.1.moe": [0, 3], "decoder.layers.1.moe": [1, 2]}"#.utf8).write(
            to: URL(fileURLWithPath: "\(folder.path)/list.json"))
        let listed = try prune("--list", "\(folder.path)/list.json", "--out", "\(folder.path)/listed", "--verify")
        #expect(listed.status == 0 && listed.stdout.contains("logits differ by up to"), "\(listed)")
        expectError(
            try prune("--list", "\(run)/config.yaml", "--dry-run"), 65, "must be a JSON map from blocks to lists of experts")
        try folder.write("list.json", Data(#"{"encoder.layers.1.moe": [0, 3], "x": [1, 2]}"#.utf8))
        expectError(
            try prune("--list", "\(folder.path)/list.json", "--dry-run"), 65,
            "must name the model's blocks, encoder.layers.1.moe, decoder.layers.1.moe, but names encoder.layers.1.moe, x")
        expectError(try prune("--dry-run"), 64, "--keep or --list must say which experts stay")
        expectError(try prune("--keep", "0", "--out", out), 64, "--keep must be above 0 and at most 1, but is 0.0")
        expectError(try prune("--keep", "0.5"), 64, "--out must name the folder to be made")
        expectError(try prune("--keep", "0.5", "--by", "best", "--dry-run"), 64, "--by must be one of importance, top1")
    }

    /// An export whose parts do not belong together, or say what cannot be, is refused with the file's name.
    @Test func exportsThatWereChanged() throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        let export = "\(folder.path)/export", run = "\(folder.path)/run"
        #expect(try Launch.alone.strata(["analyze", run]).status == 0)
        let made = try Launch.alone.strata(["convert", "prune", run, "--keep", "1", "--moments", "--out", export])
        #expect(made.status == 0 && made.stdout.contains("with moments of "), "\(made)")
        func changed(_ file: String, _ old: String, _ new: String, _ arguments: [String]) throws -> Subprocess.Outcome {
            let whole = try folder.data("export/\(file)"), text = String(decoding: whole, as: UTF8.self)
            try #require(text.contains(old), "\(text)")
            try folder.write("export/\(file)", Data(text.replacingOccurrences(of: old, with: new).utf8))
            defer { try? folder.write("export/\(file)", whole) }
            return try Launch.alone.strata(arguments)
        }
        let begin = [
            "train", "\(export)/config.yaml", "--from", export, "--moments", "--out", "\(folder.path)/begun", "--set",
            "training.updates=1",
        ]
        for updates in ["-5", "9223372036854775807"] {
            expectError(
                try changed("config.json", "\"updates\" : 12", "\"updates\" : \(updates)", begin), 65,
                "config.json: it must tell a number of updates, but tells \(updates)")
        }
        let prune = [
            "convert", "prune", export, "--keep", "0.5", "--by", "top1", "--analysis", "\(run)/analysis/analysis.json", "--out",
            "\(folder.path)/none",
        ]
        expectError(
            try changed("config.yaml", "ffn_dim: ", "ffn_dim: 1", prune), 64, "for its config.yaml, ")
        #expect(!folder.exists("none"))
        let pipe = "\(export)/optimizer.safetensors"
        try FileManager.default.removeItem(atPath: pipe)
        try #require(mkfifo(pipe, 0o600) == 0)
        expectError(try Launch.alone.strata(begin), 74, "optimizer.safetensors: must be a regular file")
    }

    /// Two conversions of one name: one of them is there, whole, and the other says that it is not.
    @Test func twoConversionsAtOnce() throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        let run = "\(folder.path)/run", out = "\(folder.path)/out", outcomes = Mutex<[Int32]>([])
        #expect(try Launch.alone.strata(["analyze", run]).status == 0)
        DispatchQueue.concurrentPerform(iterations: 2) { _ in
            let outcome = try? Launch.alone.strata(["convert", "prune", run, "--keep", "0.5", "--moments", "--out", out])
            outcomes.withLock { $0.append(outcome?.status ?? -1) }
        }
        #expect(outcomes.withLock { $0.count { $0 == 0 } } == 1)
        let translated = try Launch.alone.strata(["translate", out, "--direction", "eng-cat", "--beam", "1"], input: "seven\n")
        #expect(translated.status == 0, "\(translated)")
        #expect(try folder.names(".").allSatisfy { !$0.hasSuffix(".partial") })
    }

    @Test func whatDoesNotFitIsNamed() throws {
        let out = "\(folder.path)/out"
        expectError(
            try Launch.alone.strata(["convert", "upcycle", TinyCommandLine.run, "--strata", "4,4", "--out", out]), 64,
            "must be a dense model (model.moe: none) to be upcycled, but has experts already")
        expectError(
            try Launch.alone.strata(["convert", "upcycle", TinyCommandLine.run, "--strata", "4,x", "--out", out]), 64,
            "--strata must be 1 to 64 numbers from 1 to 65536 with commas between them, such as 4,4, but is 4,x")
        expectError(
            try Launch.alone.strata(
                ["convert", "upcycle", TinyCommandLine.run, "--strata", "4", "--noise", "nan", "--out", out]), 64,
            "--noise must be 0 to 1000, but is nan")
        #expect(!folder.exists("out"))
        let other = try Launch.alone.strata(
            ["train", TinyCommandLine.configuration, "--out", out, "--from", TinyCommandLine.run, "--set", "model.ffn_dim=48"])
        expectError(other, 64, "must be of shape [48, ")
        #expect(!folder.exists("out/checkpoints/latest"))
    }
}
