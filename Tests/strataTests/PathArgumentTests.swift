import Foundation
import Testing
import _TestSupport

/// Paths as people give them: relative to where they are, short, or left empty by a script.
@Suite(.serialized, .hangLimit) struct PathArgumentTests {
    private let folder = CommandLineFolder()

    /// Runs `strata` in the scratch folder.
    private func strata(_ arguments: String...) throws -> Subprocess.Outcome {
        try Subprocess.run(
            "sh", ["-c", "cd \"$0\" && exec \"$@\"", folder.path, try BuiltProducts.path("strata")] + arguments, timeout: 60)
    }

    @Test func namesOfOneCharacter() throws {
        let trained = try strata("train", TinyCommandLine.configuration, "--out", "q", "--set", "training.updates=1")
        #expect(trained.status == 0 && folder.exists("q/checkpoints/step-00000001"), "\(trained)")
        let exported = try strata("export", "q", "--out", "e/mine")
        #expect(exported.status == 0 && folder.exists("e/mine/model.safetensors"), "\(exported)")
        let analysed = try strata("analyze", "q", "--out", "a/", "--limit", "1", "--direction", "eng-cat")
        #expect(analysed.status == 0 && folder.exists("a/analysis.json"), "\(analysed)")
        try folder.write("b", Data("data: {format: numerals, prepared: p}\n".utf8))
        try folder.write("c", Data("inherit: b\n".utf8))
        let plan = try strata("plan", "c")
        #expect(plan.status == 0, "\(plan)")
        try folder.write("s", Data("{name: s, out: o, base: gone, runs: [{name: r}]}\n".utf8))
        expectError(try strata("sweep", "s"), 64, "gone: must be a readable file")
    }

    @Test func emptyNamesAreRefused() throws {
        let out = "--out must name a folder, but is empty", run = "the run must name a folder, but is empty"
        expectError(try strata("train", TinyCommandLine.configuration, "--out", ""), 64, out)
        expectError(try strata("export", TinyCommandLine.run, "--out", ""), 64, out)
        expectError(try strata("analyze", TinyCommandLine.run, "--out", ""), 64, out)
        expectError(try strata("report", TinyCommandLine.run, "--out", ""), 64, "--out must name a file, but is empty")
        expectError(try strata("evaluate", ""), 64, run)
        expectError(try strata("checkpoint", "list", ""), 64, run)
    }
}
