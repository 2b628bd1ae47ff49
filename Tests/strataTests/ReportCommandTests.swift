import DataPipeline
import Foundation
import Planning
import Runs
import Testing
import _TestSupport

@testable import strata

/// `strata report`, on the run of the other commands' tests.
@Suite(.hangLimit) struct ReportCommandTests {
    private let folder = CommandLineFolder()

    private func text(_ name: String) throws -> String { String(decoding: try folder.data(name), as: UTF8.self) }

    private func report(_ arguments: String...) throws -> Subprocess.Outcome {
        try Launch.alone.strata(["report"] + arguments)
    }

    @Test func aRunIsReportedInItsFolder() throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        let evaluation = try Launch.alone.strata(["evaluate", "\(folder.path)/run", "--beam", "1", "--split", "valid"])
        #expect(evaluation.status == 0, "\(evaluation)")
        let outcome = try report("\(folder.path)/run")
        #expect(outcome.status == 0 && outcome.stdout == "\(folder.path)/run/report.html\n", "\(outcome)")
        let html = try text("run/report.html")
        for part in [
            ">SMoE-2-2<", ">12 of 12<", "BLEU, valid", "run, stratum 1", "RC by direction, decoder", "model.moe.strata",
        ] {
            #expect(html.contains(part), "\(part)")
        }
        let run = try RunFolder(existing: "\(folder.path)/run")
        let plan = try ModelPlan(
            RunConfiguration.load(file: run.configuration).model, vocabulary: Tokenizer(modelFile: run.tokenizer).vocabularySize
        )
        let thousands = "\(plan.parameters / 1000),\(String(1000 + plan.parameters % 1000).dropFirst())"
        #expect(html.contains("<td>\(thousands)</td>"), "\(thousands) parameters")
        #expect(html.contains("run: no requested capacity by block and token; strata analyze RUN writes it."))
    }

    @Test func severalRunsAndAFile() throws {
        try folder.copy(TinyCommandLine.run, to: "one")
        try folder.copy(TinyCommandLine.run, to: "two")
        let outcome = try report("\(folder.path)/one", "\(folder.path)/two/", "--out", "\(folder.path)/both.html")
        #expect(outcome.status == 0, "\(outcome)")
        #expect(try text("both.html").contains("<title>one, two · Strata report</title>"))
        #expect(!folder.exists("one/report.html"))
    }

    @Test func aRunThatHasJustBegun() throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        try FileManager.default.removeItem(atPath: "\(folder.path)/run/checkpoints")
        let lines = try folder.data("run/metrics.jsonl").split(separator: UInt8(ascii: "\n"))
        try folder.write("run/metrics.jsonl", Data(lines[0] + [UInt8(ascii: "\n")] + lines[1].prefix(30)))
        #expect(try report("\(folder.path)/run").status == 0)
        #expect(try text("run/report.html").contains(">1 of 12<"))
        try FileManager.default.removeItem(atPath: "\(folder.path)/run/metrics.jsonl")
        #expect(try report("\(folder.path)/run").status == 0)
        #expect(try text("run/report.html").contains("metrics.jsonl has no update yet."))
    }

    @Test func whatCannotBeReadIsNamed() throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        try folder.write("run/evaluation-test.json", Data("{\"split\": \"test\", \"update\": 3}".utf8))
        try FileManager.default.createDirectory(atPath: "\(folder.path)/run/analysis", withIntermediateDirectories: true)
        try folder.write("run/analysis/analysis.json", Data("{".utf8))
        #expect(try report("\(folder.path)/run").status == 0)
        let html = try text("run/report.html")
        #expect(html.contains("evaluation-test.json cannot be read: it has no beam. It is left out; write it again."))
        #expect(html.contains("analysis.json cannot be read: it is not the JSON that strata writes."))
    }

    /// The page reloads itself while updates are to come, shows them when they have, and is an ordinary one at last.
    @Test func aRunIsWatchedUntilItIsDone() throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        let lines = try folder.data("run/metrics.jsonl"), first = lines.split(separator: UInt8(ascii: "\n"))[0]
        try folder.write("all.jsonl", lines)
        try folder.write("run/metrics.jsonl", first + [UInt8(ascii: "\n")])
        let outcome = try Subprocess.run(
            "bash",
            [
                "-c",
                """
                cd "$FOLDER"; "$STRATA" report run --watch & until grep -qs '>1 of 12<' run/report.html; do sleep 0.1; done
                cp run/report.html early.html; cp all.jsonl new; mv new run/metrics.jsonl; wait $!
                """,
            ], environment: ["FOLDER": folder.path, "STRATA": try BuiltProducts.path("strata")], timeout: 60)
        #expect(outcome.status == 0 && outcome.stdout == "run/report.html\n", "\(outcome)")
        let reload = "<meta http-equiv=\"refresh\" content=\"5\"/>"
        #expect(try text("early.html").contains(reload))
        let final = try text("run/report.html")
        #expect(final.contains(">12 of 12<") && !final.contains("http-equiv"))
    }

    @Test func errorsHaveTheirStatus() throws {
        expectError(try report(folder.path), 64, "\(folder.path): must be the folder of a run")
        try folder.copy(TinyCommandLine.run, to: "run")
        expectError(
            try report("\(folder.path)/run", "--out", "\(folder.path)/no/report.html"), 74,
            "\(folder.path)/no/report.html: creating failed: No such file or directory")
        expectError(
            try report("\(folder.path)/run", "--out", folder.path), 74, "\(folder.path): must be a file, but is a folder")
        try folder.write("run/config.yaml", Data("model: {}\n".utf8))
        expectError(try report("\(folder.path)/run"), 64, "run/config.yaml:1: data is required")
    }

    @Test func namesTellFoldersApart() {
        #expect(ReportCommand.names(["runs/a", "runs/b/"]) == ["a", "b"])
        #expect(ReportCommand.names(["/x/m4/run", "/x/m15/run"]) == ["m4/run", "m15/run"])
        #expect(ReportCommand.names(["runs/a", "runs/a", "runs/b"]) == ["a", "a (2)", "b"])
    }
}
