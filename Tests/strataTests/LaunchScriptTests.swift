import Foundation
import Testing
import _TestSupport

/// `launch/run.sh`: what it refuses, how it starts ranks, how it passes a stop on.
@Suite struct LaunchScriptTests {
    private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("launch/run.sh").path

    private static func run(_ arguments: [String], timeout: Double = 60) throws -> Subprocess.Outcome {
        let outcome = try Subprocess.run(
            script, arguments, environment: ["STRATA": try BuiltProducts.path("strata"), "OMPI_MCA_mpi_yield_when_idle": "1"],
            timeout: timeout)
        #expect(!outcome.timedOut, "\(arguments): \(outcome)")
        return outcome
    }

    @Test(arguments: [
        [], ["-n"], ["-n", "two", "--", "doctor"], ["-n", "2"], ["-n", "2", "--treads", "1", "--", "doctor"],
        ["-n", "2", "--threads", "0", "--", "doctor"], ["-n", "2", "--hostfile", "/nowhere", "--", "doctor"],
        ["-n", "2", "--max-restarts", "-1", "--", "doctor"],
    ])
    func wrongUsageEndsWith64(arguments: [String]) throws {
        let outcome = try Self.run(arguments)
        #expect(outcome.status == 64, "\(outcome)")
        #expect(outcome.stderr.hasPrefix("run.sh: "))
    }

    @Test func theRanksAreThoseAskedFor() throws {
        let folder = CommandLineFolder()
        let outcome = try Self.run(["-n", "3", "--", "train", TinyCommandLine.configuration, "--out", "\(folder.path)/run"])
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stderr.contains("; 3 rank(s) = 1 expert-parallel × 3 replica(s)"))
    }

    /// A failure that will come again is not tried again.
    @Test func aWrongConfigurationIsNotRestarted() throws {
        let outcome = try Self.run(
            ["-n", "2", "--max-restarts", "3", "--", "train", "/nowhere.yaml", "--out", "/nowhere"])
        #expect(outcome.status == 64, "\(outcome)")
        #expect(!outcome.stderr.contains("restart"))
    }

    @Test(arguments: ["TERM", "USR1"])
    func aStopReachesTheRanks(signal: String) throws {
        let folder = CommandLineFolder()
        let waitAndStop = """
            "$@" & pid=$!
            while kill -0 $pid && [ "$(cat "$LOG" 2>/dev/null | wc -l)" -lt 5 ]; do sleep 0.02; done
            kill -$SIGNAL $pid
            wait $pid; exit $?
            """
        let outcome = try Subprocess.run(
            "bash", ["-c", waitAndStop, "bash", Self.script, "-n", "2", "--max-restarts", "2", "--", "train",
                     TinyCommandLine.configuration, "--out", "\(folder.path)/run", "--set", "training.updates=100000"],
            environment: [
                "STRATA": try BuiltProducts.path("strata"), "LOG": "\(folder.path)/run/metrics.jsonl", "SIGNAL": signal,
                "OMPI_MCA_mpi_yield_when_idle": "1",
            ], timeout: 60)
        #expect(!outcome.timedOut)
        #expect(outcome.status == 75, "\(outcome)")
        let done = try folder.losses("run").count
        #expect(try folder.names("run/checkpoints").last == "step-\(String(repeating: "0", count: 8 - "\(done)".count))\(done)")
        #expect(!outcome.stderr.contains("resuming,"))
    }
}
