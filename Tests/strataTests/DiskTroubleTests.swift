import Foundation
import Testing
import _TestSupport

/// Training on a disk that does not take what it is given.
@Suite(.serialized, .hangLimit) struct DiskTroubleTests {
    private let folder = CommandLineFolder()

    /// Runs `strata train` where no file may grow beyond so many KiB, as on a disk that is full: writing fails, whoever the user is.
    private func train(_ ranks: Int, kibibytes: Int, _ options: String...) throws -> Subprocess.Outcome {
        let strata = try BuiltProducts.path("strata")
        let limited = ["sh", "-c", "trap '' XFSZ; ulimit -f $0; exec \"$@\"", "\(kibibytes * 2)", strata]
        let command = ["train", TinyCommandLine.configuration, "--out", "\(folder.path)/run"] + options
        guard ranks > 1 else { return try Subprocess.run(limited[0], Array(limited.dropFirst()) + command, timeout: 60) }
        return try MPILauncher.run(
            executable: limited[0], arguments: Array(limited.dropFirst()) + command, ranks: ranks, timeout: 60)
    }

    /// Checkpoints do not fit, metrics do: training goes on to its end, says so at every save, and resumes from what was before.
    @Test(arguments: [1, 2]) func aFullDiskLosesCheckpointsButNoUpdate(ranks: Int) throws {
        #expect(try train(ranks, kibibytes: 1 << 20, "--set", "training.updates=5").status == 0)
        let full = try train(ranks, kibibytes: 32, "--resume", "--set", "checkpoint.every=2")
        #expect(full.status == 74, "\(full)")
        for step in [6, 8, 10] {
            let warning = "warning: the checkpoint of update \(step) was not written; the ones before it are untouched"
            #expect(full.stderr.components(separatedBy: warning).count == 2, "\(full)")
        }
        #expect(full.stderr.contains("strata: error: the checkpoint of update 12 was not written"))
        #expect(full.stderr.contains("writing failed: File too large"))
        #expect(try folder.losses("run").count == 12)
        #expect(try folder.names("run/checkpoints") == ["latest", "step-00000005"])
        let again = try train(ranks, kibibytes: 1 << 20, "--resume")
        #expect(
            again.status == 0 && again.stderr.contains("resuming from \(folder.path)/run/checkpoints/step-00000005"), "\(again)"
        )
        #expect(try folder.losses("run") == TinyCommandLine.runs.losses("run"))
    }

    /// Not even metrics fit: their lines are held back, and in the end it is an error.
    @Test func metricsThatDoNotFitAreSaidOnceAndAreAnError() throws {
        let outcome = try train(1, kibibytes: 2, "--set", "checkpoint.every=100")
        #expect(outcome.status == 74, "\(outcome)")
        let warnings =
            outcome.stderr.components(separatedBy: "metrics.jsonl: writing failed: File too large; training goes on").count - 1
        #expect(warnings == 1, "\(outcome)")
        // Whole lines, as many as fit.
        let updates = try folder.losses("run").count
        #expect(updates > 0 && updates < 12)
    }
}
