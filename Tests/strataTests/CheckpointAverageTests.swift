import Files
import Foundation
import Testing
import _TestSupport

/// `strata checkpoint average`.
@Suite(.serialized, .hangLimit) struct CheckpointAverageTests {
    private let folder = CommandLineFolder()
    private var out: String { "\(folder.path)/mean" }

    private func average(_ options: String..., of run: String = TinyCommandLine.run) throws -> Subprocess.Outcome {
        try Launch.alone.strata(["checkpoint", "average", run] + options)
    }

    /// As double precision has it, element by element.
    @Test func theMeanIsThatOfTheShards() throws {
        let outcome = try average("--last", "3", "--out", out)
        #expect(outcome.status == 0 && outcome.stdout.hasPrefix("mean of updates 5, 10, 12, "), "\(outcome)")
        #expect(try folder.names("") == ["mean"], "nothing unfinished is left")
        let model = try SafeTensorsFile(path: "\(out)/model.safetensors")
        let shards = try ["05", "10", "12"].map {
            try SafeTensorsFile(path: "\(TinyCommandLine.run)/checkpoints/step-000000\($0)/shard-00000.safetensors")
        }
        #expect(Set(model.entries.keys) == Set(shards[0].entries.keys.filter { !$0.hasPrefix("adam.") }))
        for name in model.entries.keys {
            let parts = shards.compactMap { $0.floats(name) }, values = try #require(model.floats(name))
            let expected = values.indices.map { index in
                Float(parts.reduce(0.0) { $0 + Double($1[index]) } / Double(parts.count))
            }
            #expect(values == expected, "\(name)")
        }
        let config = try #require(try JSONSerialization.jsonObject(with: folder.data("mean/config.json")) as? [String: Any])
        #expect(config["step"] as? Int == 12)
        #expect(config["history"] as? [String] == ["mean of the parameters after updates 5, 10, 12"])
        let evaluated = try Launch.alone.strata(["evaluate", out, "--limit", "2", "--beam", "1"])
        #expect(evaluated.status == 0 && evaluated.stderr.contains("update 12, split test"), "\(evaluated)")
    }

    @Test func updatesAreChosenByTheirNumbers() throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        let outcome = try average("--steps", "12,5", of: "\(folder.path)/run")
        #expect(outcome.status == 0 && outcome.stdout.hasPrefix("mean of updates 12, 5, "), "\(outcome)")
        #expect(folder.exists("run/average/model.safetensors"))
        expectError(
            try average("--steps", "12,5", of: "\(folder.path)/run"), 64, "run/average: must be a new folder, but exists")
    }

    @Test func wrongUsageIsSaid() throws {
        expectError(try average(), 64, "needs --last N or --steps A,B, one of them")
        expectError(try average("--last", "2", "--steps", "5,10"), 64, "needs --last N or --steps A,B, one of them")
        expectError(try average("--last", "1"), 64, "--last must be at least 2, but is 1")
        expectError(try average("--last", "4", "--out", out), 64, "--last must be at most the checkpoints in")
        expectError(try average("--steps", "5", "--out", out), 64, "--steps must be two or more different updates")
        expectError(try average("--steps", "5,5", "--out", out), 64, "--steps must be two or more different updates")
        expectError(try average("--steps", "5,x", "--out", out), 64, "--steps must be two or more different updates")
        expectError(try average("--steps", "5,7", "--out", out), 64, "there is no checkpoint of update 7; there are 5, 10, 12")
        #expect(try folder.names("") == [])
    }

    @Test func aDamagedCheckpointIsRefused() throws {
        try folder.copy(TinyCommandLine.run, to: "run")
        try folder.damage("run/checkpoints/step-00000010/shard-00000.safetensors")
        let outcome = try average("--last", "2", "--out", out, of: "\(folder.path)/run")
        expectError(outcome, 65, "step-00000010/shard-00000.safetensors: its checksum must be")
        #expect(try folder.names("") == ["run"])
    }
}
