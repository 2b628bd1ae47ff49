import Foundation
import Testing
import _TestSupport

/// `strata analyze`, alone, on simulated ranks and under mpirun.
@Suite(.serialized, .hangLimit) struct AnalyzeCommandTests {
    private let folder = CommandLineFolder()

    /// What it prints, and writes, with `--json`.
    private func analysis(_ launch: Launch, _ options: String...) throws -> [String: Any] {
        let out = "\(launch.testDescription) \(options.joined(separator: " "))".replacing("/", with: " ")
        let outcome = try launch.strata(
            ["analyze", TinyCommandLine.run, "--json", "--out", "\(folder.path)/\(out)"] + options)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(try folder.data("\(out)/analysis.json") == Data(outcome.stdout.utf8))
        let object = try JSONSerialization.jsonObject(with: Data(outcome.stdout.utf8)) as? [String: Any]
        return try #require(object, "\(outcome)")
    }

    private func rows(_ analysis: [String: Any], _ key: String) throws -> [[String: Any]] {
        try #require(analysis[key] as? [[String: Any]])
    }

    @Test func figuresAreConsistent() throws {
        let analysis = try analysis(.alone, "--minimum-count", "1")
        #expect(analysis["step"] as? Int == 12 && analysis["text"] as? String == "test")
        #expect(analysis["frequency_source"] as? String == "training" && analysis["strata"] as? [Int] == [2, 2])
        let directions = try rows(analysis, "rc_by_direction"), blocks = try rows(analysis, "rc_by_block")
        #expect(Set(directions.compactMap { $0["direction"] as? String }) == ["eng-cat", "cat-eng", "eng-isl", "isl-eng"])
        // 2 of 2 layers on each side are a mixture's.
        #expect(blocks.count == 8 && blocks.allSatisfy { $0["layer"] as? Int == 1 })
        for (load, drops) in zip(try rows(analysis, "expert_load"), try rows(analysis, "drops")) {
            let first = try #require(load["first"] as? [Int]), second = try #require(load["second"] as? [Int])
            #expect(first.reduce(0, +) == load["tokens"] as? Int && second.reduce(0, +) == load["tokens"] as? Int)
            #expect(first.reduce(0, +) + second.reduce(0, +) == drops["choices"] as? Int)
        }
        for block in blocks {
            let gates = try rows(analysis, "expert_load").filter {
                $0["direction"] as? String == block["direction"] as? String && $0["side"] as? String == block["side"] as? String
            }
            #expect(gates.reduce(0) { $0 + ($1["tokens"] as? Int ?? 0) } == block["rounds"] as? Int)
            #expect(gates[0]["tokens"] as? Int == block["tokens"] as? Int)
        }
        for extremes in try rows(analysis, "token_extremes") {
            let highest = try #require(extremes["highest"] as? [[String: Any]])
            #expect(!highest.isEmpty && highest.allSatisfy { !($0["piece"] as? String ?? "<2").hasPrefix("<2") })
        }
    }

    /// The same RC as evaluation finds.
    @Test func capacityIsThatOfEvaluate() throws {
        let analysis = try analysis(.alone)
        // Evaluation writes its scores into the folder.
        try folder.copy(TinyCommandLine.run, to: "run")
        let outcome = try Launch.alone.strata(["evaluate", "\(folder.path)/run", "--json", "--beam", "1"])
        let evaluated = try #require(
            (JSONSerialization.jsonObject(with: Data(outcome.stdout.utf8)) as? [String: Any])?["directions"]
                as? [String: [String: Double]])
        for row in try rows(analysis, "rc_by_direction") {
            let figures = try #require(evaluated[row["direction"] as? String ?? ""])
            #expect(figures["rounds_encoder"] == row["encoder"] as? Double)
            #expect(figures["rounds_decoder"] == row["decoder"] as? Double)
        }
    }

    @Test func ranksShareTheTextAndFindTheSame() throws {
        let options = ["--split", "train", "--limit", "40"]
        func everything(_ launch: Launch) throws -> [String: Data] {
            let out = launch.testDescription
            let outcome = try launch.strata(["analyze", TinyCommandLine.run, "--out", "\(folder.path)/\(out)"] + options)
            #expect(outcome.status == 0, "\(outcome)")
            return Dictionary(uniqueKeysWithValues: try folder.names(out).map { ($0, try folder.data("\(out)/\($0)")) })
        }
        let alone = try everything(.alone)
        #expect(
            alone.keys.sorted() == [
                "analysis.json", "co_activation.csv", "drops.csv", "expert_load.csv", "gate_entropy.csv", "gate_pairs.csv",
                "rc_by_block.csv",
                "rc_by_direction.csv", "rc_by_token.csv",
            ])
        for launch in [Launch.simulated(2), .simulated(4), .mpirun(2), .mpirun(4)] {
            #expect(try everything(launch) == alone, "\(launch.testDescription)")
        }
    }

    /// A split's own text, given as files, is routed as the split.
    @Test func filesInPlaceOfASplit() throws {
        func text(_ language: String) -> String { "\(TinyCommandLine.data)/test.eng-cat.\(language).text" }
        var files = try analysis(.alone, "--source", text("cat"), "--target", text("eng"), "--direction", "cat-eng")
        var split = try analysis(.alone, "--direction", "cat-eng")
        #expect(files["text"] as? String == "files")
        files["text"] = nil
        split["text"] = nil
        #expect(files as NSDictionary == split as NSDictionary)
    }

    @Test func withoutTheTrainingTextFrequenciesAreThoseOfTheText() throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        let text = String(decoding: try folder.data("run/config.yaml"), as: UTF8.self)
        try folder.write("run/config.yaml", Data(text.replacing(TinyCommandLine.data, with: "\(folder.path)/gone").utf8))
        try folder.write("a.eng", Data("one two\nthree\n".utf8))
        try folder.write("a.cat", Data("u dos\ntres\n".utf8))
        let outcome = try Launch.alone.strata([
            "analyze", "\(folder.path)/run", "--source", "\(folder.path)/a.eng", "--target", "\(folder.path)/a.cat",
            "--direction", "eng-cat", "--out", "\(folder.path)/files",
        ])
        #expect(outcome.status == 0 && outcome.stdout.contains("eng-cat"), "\(outcome)")
        let object = try JSONSerialization.jsonObject(with: folder.data("files/analysis.json")) as? [String: Any]
        #expect(object?["frequency_source"] as? String == "analysed")
        let tokens = String(decoding: try folder.data("files/rc_by_token.csv"), as: UTF8.self)
        for line in tokens.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: ",")
            #expect(fields[5] == fields[8], "count and frequency: \(line)")
        }
        expectError(
            try Launch.alone.strata(["analyze", "\(folder.path)/run"]), 65, "gone: must be a prepared folder")
    }

    @Test func whatCannotBeAnalysed() throws {
        func refuse(_ launch: Launch, _ options: String..., text: String) throws {
            expectError(try launch.strata(["analyze", TinyCommandLine.run] + options), 64, text)
        }
        try refuse(.alone, "--split", "tset", text: "--split must be test, valid or train, but is tset")
        try refuse(.mpirun(2), "--direction", "eng-ctt", "--out", "\(folder.path)/a", text: "did you mean eng-cat?")
        try refuse(.alone, "--source", "a.eng", text: "--source and --target must be given together, with one --direction")
        try refuse(.simulated(2), "--limit", "0", text: "--limit must be at least 1, but is 0")
    }

    /// What the run's folder has is of a whole split: parts go elsewhere, and what fails replaces nothing.
    @Test func theAnalysisOfTheRunIsOfAWholeSplit() throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        let run = "\(folder.path)/run", whole = try Launch.alone.strata(["analyze", run])
        func leftovers() throws -> [String] { try folder.names("run").filter { $0.hasSuffix(".partial") } }
        #expect(try whole.status == 0 && leftovers().isEmpty, "\(whole)")
        let files = try folder.names("run/analysis"), before = try folder.data("run/analysis/analysis.json")
        func analyze(_ launch: Launch = .alone, _ options: String...) throws -> Subprocess.Outcome {
            try launch.strata(["analyze", run] + options)
        }
        for (option, value) in [("--limit", "2"), ("--direction", "eng-cat")] {
            expectError(
                try analyze(.simulated(2), option, value), 64,
                "--out is required with \(option): \(run)/analysis is for whole splits")
        }
        let text = ["--source", "\(folder.path)/a", "--target", "\(folder.path)/a", "--direction", "eng-cat"]
        expectError(try Launch.alone.strata(["analyze", run] + text), 64, "--out is required with --direction, --source: ")
        try folder.write("a", Data())
        let analysis = ["analyze", run, "--out", "\(run)/analysis"] + text
        expectError(try Launch.mpirun(2).strata(analysis), 65, "must hold sentences, a line each, but are empty")
        try folder.write("a", Data((String(repeating: "one ", count: 2000) + "\n").utf8))
        expectError(try Launch.alone.strata(analysis), 65, "line 1: must be at most")
        #expect(try folder.names("run/analysis") == files && folder.data("run/analysis/analysis.json") == before)
        #expect(try leftovers().isEmpty)
    }

    @Test func aDenseModelHasNoGates() throws {
        let dense = try Launch.alone.strata([
            "train", TinyCommandLine.configuration, "--out", "\(folder.path)/dense", "--set", "training.updates=1", "--set",
            "model.moe=none",
        ])
        #expect(dense.status == 0, "\(dense)")
        expectError(
            try Launch.alone.strata(["analyze", "\(folder.path)/dense"]), 64, "dense: must be the run of a mixture of experts")
    }
}
