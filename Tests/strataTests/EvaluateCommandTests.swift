import Foundation
import Testing
import _TestSupport

/// `strata evaluate`, alone and under mpirun.
@Suite(.serialized, .hangLimit) struct EvaluateCommandTests {
    private let folder = CommandLineFolder()

    /// Evaluates a copy of the run, into whose folder the scores are written.
    private func figures(_ launch: Launch, _ options: String...) throws -> [String: Any] {
        if !folder.exists("evaluated") { try folder.copy(TinyCommandLine.run, to: "evaluated") }
        let outcome = try launch.strata(["evaluate", "\(folder.path)/evaluated", "--json", "--beam", "2"] + options)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stderr.contains("update 12, split "), "progress goes to standard error")
        let object = try JSONSerialization.jsonObject(with: Data(outcome.stdout.utf8)) as? [String: Any]
        return try #require(object, "\(outcome)")
    }

    @Test func jsonAloneGoesToStandardOutput() throws {
        let figures = try figures(.alone)
        #expect(
            Set(figures.keys) == [
                "average", "directions", "signature", "chrf_signature", "split", "update", "beam", "length_penalty",
                "tokenizers",
            ])
        #expect(figures["length_penalty"] as? Double == 1)
        #expect(figures["split"] as? String == "test" && figures["update"] as? Int == 12 && figures["beam"] as? Int == 2)
        let average = try #require(figures["average"] as? [String: Double])
        #expect(Set(average.keys) == ["bleu", "chrf", "exact", "rounds_encoder", "rounds_decoder"])
        let directions = try #require(figures["directions"] as? [String: [String: Double]])
        #expect(Set(directions.keys) == ["eng-cat", "cat-eng", "eng-isl", "isl-eng"])
        for direction in directions.values {
            #expect(
                Set(direction.keys) == ["bleu", "chrf", "exact", "sentences", "rounds_encoder", "rounds_decoder"])
            #expect(direction["sentences"] == 6)
            #expect((1...2).contains(direction["rounds_encoder"]!) && (1...2).contains(direction["rounds_decoder"]!))
        }
        let mean = directions.values.reduce(0) { $0 + $1["chrf"]! } / 4
        #expect(abs(average["chrf"]! - mean) < 1e-9 && mean > 0)
        #expect((figures["signature"] as? String)?.contains("tok:13a") == true)
        #expect((figures["chrf_signature"] as? String)?.contains("nc:6") == true)
    }

    @Test func ranksShareTheSentencesAndFindTheSame() throws {
        let alone = try figures(.alone, "--split", "valid") as NSDictionary
        #expect(try figures(.mpirun(2), "--split", "valid") as NSDictionary == alone)
        #expect(try figures(.mpirun(4), "--split", "valid") as NSDictionary == alone)
    }

    /// Each rank has some of the experts alone, of both models that are compared; RC is measured of one direction's few groups, fewer
    /// than there are ranks.
    @Test(arguments: [2, 4]) func ranksMayShareTheExperts(ranks: Int) throws {
        let options = ["--direction", "cat-eng", "--against", TinyCommandLine.run]
        func figures(_ launch: Launch, _ further: String...) throws -> NSDictionary {
            let outcome = try launch.strata(
                ["evaluate", TinyCommandLine.run, "--json", "--beam", "2", "--limit", "5"] + options + further)
            #expect(outcome.status == 0, "\(outcome)")
            return try #require(JSONSerialization.jsonObject(with: Data(outcome.stdout.utf8)) as? NSDictionary, "\(outcome)")
        }
        #expect(try figures(.mpirun(ranks), "--spread-experts") == figures(.alone))
    }

    /// The newest evaluation of a split, with the mean of the one before; nil if none was kept.
    private func kept(_ split: String) throws -> NSDictionary? {
        let name = "evaluated/evaluation-\(split).json"
        guard folder.exists(name) else { return nil }
        return try JSONSerialization.jsonObject(with: folder.data(name)) as? NSDictionary
    }

    @Test(arguments: [Launch.alone, .mpirun(2)]) func theScoresOfAWholeSplitStayInTheRunFolder(launch: Launch) throws {
        let figures = try figures(launch, "--split", "valid")
        #expect(try kept("valid") == figures as NSDictionary && kept("test") == nil)
        _ = try self.figures(launch, "--limit", "2")
        #expect(try kept("test") == nil, "a part of a split is not kept")
        // As if the first evaluation had been of an earlier checkpoint.
        let text = String(decoding: try folder.data("evaluated/evaluation-valid.json"), as: UTF8.self)
        try folder.write(
            "evaluated/evaluation-valid.json", Data(text.replacing("\"update\" : 12", with: "\"update\" : 10").utf8))
        _ = try self.figures(launch, "--split", "valid")
        let earlier = try #require(try kept("valid")?["earlier"] as? [[String: Any]])
        #expect(earlier.map { $0["update"] as? Int } == [10])
        #expect(earlier[0]["average"] as? NSDictionary == figures["average"] as? NSDictionary)
    }

    @Test func oneDirectionAndTheFirstSentences() throws {
        let figures = try figures(.alone, "--direction", "cat-eng", "--limit", "2")
        let directions = try #require(figures["directions"] as? [String: [String: Double]])
        #expect(directions.count == 1 && directions["cat-eng"]?["sentences"] == 2)
    }

    @Test(arguments: [Launch.alone, .mpirun(2)]) func aDamagedCheckpointIsPassedOver(launch: Launch) throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        try folder.damage("run/checkpoints/step-00000012/shard-00000.safetensors")
        let outcome = try launch.strata(["evaluate", "\(folder.path)/run", "--json", "--beam", "1"])
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stderr.components(separatedBy: "step-00000012/shard-00000.safetensors").count == 2, "\(outcome)")
        #expect(outcome.stderr.contains("update 10, split test"))
    }

    @Test(arguments: [Launch.alone, .mpirun(2)]) func withoutASoundCheckpointThereIsNothingToEvaluate(launch: Launch) throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        for step in ["05", "10", "12"] { try folder.damage("run/checkpoints/step-000000\(step)/shard-00000.safetensors") }
        expectError(
            try launch.strata(["evaluate", "\(folder.path)/run", "--json"]), 65, "there is no sound checkpoint:")
    }

    @Test(arguments: [Launch.alone, .mpirun(2)], ["train", "trian", ""])
    func aSplitThatCannotBeScored(launch: Launch, split: String) throws {
        expectError(
            try launch.strata(["evaluate", TinyCommandLine.run, "--split", split]), 64,
            "--split must be test or valid, but is \(split)\n")
    }

    @Test(arguments: [Launch.alone, .mpirun(2)]) func anUnknownDirection(launch: Launch) throws {
        expectError(
            try launch.strata(["evaluate", TinyCommandLine.run, "--direction", "eng-ctt"]), 64,
            "--direction must be one that the model was trained for, but is eng-ctt; did you mean eng-cat?")
    }

    @Test(arguments: [Launch.alone, .mpirun(2)], ["evaluate", "analyze"])
    func aDirectionThatIsNamedTwice(launch: Launch, command: String) throws {
        expectError(
            try launch.strata(
                [command, TinyCommandLine.run, "--direction", "eng-cat", "--direction", "cat-eng", "--direction", "eng-cat"]
                    + (command == "analyze" ? ["--out", "\(CommandLineFolder().path)/analysis"] : [])),
            64, "--direction must name a direction once, but names eng-cat twice")
    }

    @Test func signaturesAreShownAndTheSearchIsKept() throws {
        try folder.copy(TinyCommandLine.run, to: "evaluated")
        let outcome = try Launch.alone.strata(
            ["evaluate", "\(folder.path)/evaluated", "--beam", "1", "--length-penalty", "0.6"])
        #expect(outcome.stdout.contains("\nBLEU: nrefs:1|") && outcome.stdout.contains("\nchrF2: nrefs:1|"), "\(outcome)")
        #expect(try kept("test")?["length_penalty"] as? Double == 0.6)
    }

    @Test(arguments: [Launch.alone, .mpirun(2)]) func aFolderThatIsNoRun(launch: Launch) throws {
        expectError(try launch.strata(["evaluate", folder.path]), 64, "\(folder.path): must be the folder of a run")
    }

    /// A run whose configuration names a copy of the prepared data.
    private func runOnACopyOfTheData() throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        try folder.copy(TinyCommandLine.data, to: "prepared")
        let text = String(decoding: try folder.data("run/config.yaml"), as: UTF8.self)
        try folder.write(
            "run/config.yaml",
            Data(text.replacingOccurrences(of: TinyCommandLine.data, with: "\(folder.path)/prepared").utf8))
    }

    @Test(arguments: [Launch.alone, .mpirun(2)], ["eng.offsets", "eng.tokens", "cat.text"])
    func damagedData(launch: Launch, file: String) throws {
        try runOnACopyOfTheData()
        let name = "prepared/test.eng-cat.\(file)"
        try folder.damage(name)
        expectError(try launch.strata(["evaluate", "\(folder.path)/run"]), 65, "\(name): must have the checksum")
    }

    @Test func dataThatIsNotThere() throws {
        try runOnACopyOfTheData()
        try FileManager.default.removeItem(atPath: "\(folder.path)/prepared")
        expectError(try Launch.alone.strata(["evaluate", "\(folder.path)/run"]), 65, "prepared: must be a prepared folder")
    }

    @Test func dataThatWasPreparedAnew() throws {
        try runOnACopyOfTheData()
        let again = try Launch.alone.strata([
            "prepare", "\(folder.path)/run/config.yaml", "--force", "--set", "data.vocabulary=150",
        ])
        #expect(again.status == 0, "\(again)")
        expectError(
            try Launch.alone.strata(["evaluate", "\(folder.path)/run"]), 65,
            "prepared: must be the data that the model was trained on")
    }

    /// A run that was moved with its data, or is read from elsewhere.
    @Test func dataBesideTheRun() throws {
        try runOnACopyOfTheData()
        let text = String(decoding: try folder.data("run/config.yaml"), as: UTF8.self)
        try folder.write("run/config.yaml", Data(text.replacing("\(folder.path)/prepared", with: "gone/prepared").utf8))
        let found = try Launch.alone.strata(["evaluate", "\(folder.path)/run", "--beam", "1"])
        #expect(found.status == 0, "\(found)")
        try FileManager.default.moveItem(atPath: "\(folder.path)/prepared", toPath: "\(folder.path)/elsewhere")
        expectError(
            try Launch.alone.strata(["evaluate", "\(folder.path)/run"]), 65,
            "gone/prepared: must be a prepared folder, but has no manifest.json, nor has any of", "name it with --data")
        let given = try Launch.alone.strata(
            ["evaluate", "\(folder.path)/run", "--beam", "1", "--data", "\(folder.path)/elsewhere"])
        #expect(given.status == 0 && given.stdout == found.stdout, "\(given)")
    }

    /// The test split as two files.
    private func testSet() throws -> [String] {
        try folder.write("source", Data("one\ntwo\nthirty-three\n".utf8))
        try folder.write("reference", Data("u\ndos\ntrenta-tres\n".utf8))
        return [
            "evaluate", TinyCommandLine.run, "--source", "\(folder.path)/source", "--reference", "\(folder.path)/reference",
            "--beam", "1",
        ]
    }

    @Test(arguments: [Launch.alone, .mpirun(2)]) func aTestSetOfFilesAgainstAnotherTranslation(launch: Launch) throws {
        let arguments = try testSet() + ["--direction", "eng-cat", "--metric", "ter", "--metric", "chrf++", "--json"]
        let against = try launch.strata(arguments + ["--against", "\(folder.path)/reference"])
        try #require(against.status == 0, "\(against)")
        let object = try #require(try JSONSerialization.jsonObject(with: Data(against.stdout.utf8)) as? [String: Any])
        #expect(object["split"] as? String == "files")
        let comparison = try #require(object["comparison"] as? [String: Any])
        let figures = try #require((comparison["directions"] as? [String: [[String: Any]]])?["eng-cat"])
        #expect(figures.compactMap { $0["metric"] as? String } == ["BLEU", "chrF2", "TER", "chrF2++"])
        #expect(figures[1]["against"] as? Double == 100 && figures[2]["against"] as? Double == 0)
        let p = try #require((figures[1]["randomization"] as? [String: Any])?["p_value"] as? Double)
        #expect(p > 0 && p <= 1)
        let itself = try launch.strata(arguments + ["--against", TinyCommandLine.run])
        #expect(itself.status == 0 && itself.stdout.contains("\"update\" : 12"), "\(itself)")
    }

    @Test func testSetsThatCannotBeScored() throws {
        let files = try testSet()
        expectError(try Launch.alone.strata(files), 64, "--source and --reference must be given together, with one --direction")
        try folder.write("reference", Data("u\ndos\n".utf8))
        #expect(try Launch.alone.strata(files + ["--direction", "eng-cat"]).status == 65)
        try folder.write("reference", Data("u\ndos\ntres\n".utf8))
        expectError(
            try Launch.alone.strata(files + ["--direction", "cat-isl"]), 64,
            "--direction must be one that the model was trained for, but is cat-isl")
        let zeroShot = try Launch.alone.strata(files + ["--direction", "cat-isl", "--zero-shot"])
        #expect(zeroShot.status == 0, "\(zeroShot)")
        expectError(
            try Launch.alone.strata(files + ["--direction", "cat-fra", "--zero-shot"]), 64,
            "--direction must be between two of the model's languages")
        expectError(
            try Launch.alone.strata(files + ["--direction", "eng-cat", "--tokenizer", "flores200"]), 64, "--tokenizer-model")
        expectError(
            try Launch.alone.strata(files + ["--direction", "eng-cat", "--metric", "bleu2"]), 64, "must be chrf++ or ter")
        try folder.write("short", Data("u\n".utf8))
        expectError(
            try Launch.alone.strata(files + ["--direction", "eng-cat", "--against", "\(folder.path)/short"]), 65,
            "short: must have a line for each of the 3 sentences, but has 1")
    }
}
