import Foundation
import Testing
import _TestSupport

/// What a user tried: a copy of a folder of Fixtures/cases, with a configuration, `case.yaml`, and its text.
struct ReportedCase {
    let folder = CommandLineFolder()

    init(_ name: String) throws {
        let cases = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/cases")
        try folder.copy(cases.appendingPathComponent(name).path, to: "case")
    }

    var run: String { "\(folder.path)/run" }

    /// A command that reads the configuration, whose paths are those of the copy.
    func configured(_ command: String, _ options: String..., settings: [String: String] = [:]) throws -> Subprocess.Outcome {
        let paths = ["data.path": "\(folder.path)/case/text", "data.prepared": "\(folder.path)/prepared"]
        let all = paths.merging(settings) { $1 }.merging(["parallel.threads_per_rank": "1"]) { given, _ in given }
        return try Launch.alone.strata(
            [command, "\(folder.path)/case/case.yaml"] + options
                + all.sorted { $0.key < $1.key }.flatMap { ["--set", "\($0.key)=\($0.value)"] })
    }

    /// Prepares and trains into `run`.
    func train(settings: [String: String] = [:]) throws {
        let prepared = try configured("prepare", settings: settings)
        try #require(prepared.status == 0, "\(prepared)")
        let trained = try configured("train", "--out", run, settings: settings)
        try #require(trained.status == 0, "\(trained)")
    }

    func checkpoints() throws -> [String] { try folder.names("run/checkpoints").filter { $0 != "latest" } }
}
