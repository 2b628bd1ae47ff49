import Files
import Foundation
import Testing
import _TestSupport

/// A run and an export of the program as it was before its mixtures were methods of their own: they load, resume and are scored.
///
/// `run` has the checkpoint of update 3 of 6 (two ranks; dropout 0 and no draws), `export` is of the same update, and
/// `metrics.jsonl` and `evaluation.json` are what that program went on to print.
@Suite(.serialized, .hangLimit) struct OldRunTests {
    private let folder = CommandLineFolder()
    private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/old-run").path

    /// Copies, whose data are prepared anew.
    init() throws {
        for name in ["run", "export"] {
            try folder.copy("\(Self.fixtures)/\(name)", to: name)
            let configuration = String(decoding: try folder.data("\(name)/config.yaml"), as: UTF8.self)
            try folder.write(
                "\(name)/config.yaml",
                Data(configuration.replacing("prepared: prepared", with: "prepared: \(folder.path)/prepared").utf8))
        }
        let outcome = try strata("prepare", "\(folder.path)/run/config.yaml")
        try #require(outcome.status == 0, "\(outcome)")
    }

    private func strata(_ arguments: String...) throws -> Subprocess.Outcome { try Launch.alone.strata(arguments) }

    /// The bytes are the same wherever it is read.
    @Test func theParametersAreThoseOfThen() throws {
        let outcome = try strata("export", "\(folder.path)/run", "--out", "\(folder.path)/again")
        #expect(outcome.status == 0 && outcome.stdout.hasPrefix("update 3, "), "\(outcome)")
        #expect(try folder.data("again/model.safetensors") == folder.data("export/model.safetensors"))
    }

    /// Other processors multiply with other kernels: what is computed is close, what is counted the same.
    @Test(arguments: ["run", "export"]) func scoresAreThoseOfThen(name: String) throws {
        let outcome = try strata("evaluate", "\(folder.path)/\(name)", "--beam", "2", "--json")
        try #require(outcome.status == 0, "\(outcome)")
        func directions(_ data: Data) throws -> [String: [String: Double]] {
            let object = try JSONSerialization.jsonObject(with: data) as? [String: Any]
            return try #require(object?["directions"] as? [String: [String: Double]])
        }
        let now = try directions(Data(outcome.stdout.utf8))
        let then = try directions(Data(contentsOf: URL(fileURLWithPath: "\(Self.fixtures)/evaluation.json")))
        #expect(Set(now.keys) == Set(then.keys))
        for (direction, figures) in then {
            for (figure, value) in figures {
                let found = try #require(now[direction]?[figure], "\(direction), \(figure)")
                #expect(abs(found - value) <= 1e-6 * max(1, value), "\(direction), \(figure): \(found), was \(value)")
            }
        }
    }

    @Test func trainingGoesOnAsItDidThen() throws {
        let outcome = try strata("train", "\(folder.path)/run/config.yaml", "--out", "\(folder.path)/run", "--resume")
        try #require(outcome.status == 0 && outcome.stderr.contains("resuming from"), "\(outcome)")
        func lines(_ data: Data) throws -> [[String: Any]] {
            try data.split(separator: UInt8(ascii: "\n")).map {
                try #require(try JSONSerialization.jsonObject(with: $0) as? [String: Any])
            }
        }
        let now = try lines(folder.data("run/metrics.jsonl"))
        let then = try lines(Data(contentsOf: URL(fileURLWithPath: "\(Self.fixtures)/metrics.jsonl")))
        #expect(now.count == then.count && then.count == 8)
        for (line, old) in zip(now, then) {
            #expect(line["update"] as? Int == old["update"] as? Int)
            for figure in ["loss", "nll", "aux", "budget", "z_loss", "gradient_norm", "valid_loss", "dropped_fraction"] {
                guard let value = old[figure] as? Double else { continue }
                let found = try #require(line[figure] as? Double, "\(figure)")
                #expect(abs(found - value) <= 1e-4 * abs(value), "\(figure) of \(old["update"] ?? 0): \(found), was \(value)")
            }
        }
    }
}
