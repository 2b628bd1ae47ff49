import Foundation
import Testing
import _TestSupport

/// Ranks that die, stop or are to end at once, in the middle of training.
@Suite(.hangLimit) struct FailureTests {
    private let folder = CommandLineFolder()
    private var out: String { "\(folder.path)/run" }

    /// Trains on ranks of mpirun without end, does `action` once five updates are done, and waits for the end of the job. The
    /// status is the job's, unless one of its processes is left: then 99. In `action`, `rank N` is that rank's process.
    private func disturb(ranks: Int, _ action: String, _ options: String...) throws -> Subprocess.Outcome {
        let script = """
            rank() { sed 's/.*"process":\\([0-9]*\\).*/\\1/' "$OUT/ranks/0000$1.json"; }
            "$@" & pid=$!
            until [ "$(cat "$OUT/metrics.jsonl" 2>/dev/null | wc -l)" -ge 5 ]; do sleep 0.02; kill -0 $pid || exit 98; done
            processes=$(for n in $(seq 0 $((RANKS - 1))); do rank $n; done)
            \(action)
            wait $pid; status=$?
            for try in $(seq 100); do
              left=
              for process in $processes; do
                # One that has ended, but was not collected, has no arguments.
                [ -z "$(cat /proc/$process/cmdline 2>/dev/null | tr -d '\\0')" ] || left="$left $process"
              done
              [ -n "$left" ] || exit $status
              sleep 0.05
            done
            echo "left: $left" >&2
            exit 99
            """
        let command = [
            "mpirun", "--oversubscribe", "--bind-to", "none", "-n", "\(ranks)", try BuiltProducts.path("strata"), "train",
            TinyCommandLine.configuration, "--out", out, "--set", "training.updates=1000000",
        ]
        let outcome = try Subprocess.run(
            "bash", ["-c", script, "bash"] + command + options,
            environment: [
                "OUT": out, "RANKS": "\(ranks)", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
                "OMPI_MCA_mpi_yield_when_idle": "1",
            ], timeout: 40)
        #expect(!outcome.timedOut, "\(outcome)")
        return outcome
    }

    @Test(arguments: [(2, "off"), (4, "off"), (4, "on")]) func aRankThatIsKilledEndsTheJob(ranks: Int, thread: String) throws {
        let outcome = try disturb(
            ranks: ranks, "kill -KILL $(rank \(ranks - 1))", "--set", "parallel.communication_thread=\(thread)")
        #expect(outcome.status == 128 + 9, "\(outcome)")
        #expect(outcome.stderr.contains("process rank \(ranks - 1) with PID"), "\(outcome)")
        #expect(outcome.stderr.contains("exited on signal 9"), "\(outcome)")
    }

    /// The others say whom they wait for, and in the end give up.
    @Test(arguments: [
        (2, "watchdog_abort_seconds", "off"), (4, "unreachable_abort_seconds", "off"), (2, "watchdog_abort_seconds", "on"),
        (4, "unreachable_abort_seconds", "on"),
    ])
    func aRankThatIsStoppedIsNamed(ranks: Int, limit: String, thread: String) throws {
        let outcome = try disturb(
            ranks: ranks, "kill -STOP $(rank 1)", "--set", "parallel.watchdog_seconds=1",
            "--set", "parallel.\(limit)=3", "--set", "parallel.communication_thread=\(thread)")
        #expect(outcome.status == 70, "\(outcome)")
        #expect(outcome.stderr.contains("strata: watchdog: "), "\(outcome)")
        #expect(outcome.stderr.contains("): does not answer: it is stopped or gone"), "\(outcome)")
        // Whatever operation comes next, or is the one that it was stopped in.
        let names = #/watchdog: [a-zA-Z ]+ #\d+ among ranks .* has kept rank \d waiting/#
        #expect(outcome.stderr.contains(names), "\(outcome)")
        #expect(outcome.stderr.contains("  rank 1 (process "), "\(outcome)")
        #expect(outcome.stderr.contains("gives up and ends the job"), "\(outcome)")
        if limit.hasPrefix("unreachable") { #expect(outcome.stderr.contains("  no rank is at work: rank "), "\(outcome)") }
    }

    /// What a killed mpirun leaves behind ends by itself.
    @Test func ranksEndWithTheirMpirun() throws {
        let outcome = try disturb(ranks: 2, "kill -KILL $pid")
        #expect(outcome.status == 128 + 9, "\(outcome)")
    }

    /// In an update of minutes: the first Ctrl-C would have to wait for its end.
    @Test func theSecondInterruptEndsAtOnce() throws {
        let script = """
            "$@" & pid=$!
            until [ -e "$OUT/metrics.jsonl" ]; do sleep 0.02; kill -0 $pid || exit 98; done
            kill -INT $pid; sleep 0.1; kill -0 $pid || exit 97
            kill -INT $pid; wait $pid
            """
        let outcome = try Subprocess.run(
            "bash",
            [
                "-c", script, "bash", try BuiltProducts.path("strata"), "train", TinyCommandLine.configuration, "--out", out,
                "--set", "training.token_groups=60000",
            ],
            environment: ["OUT": out], timeout: 30)
        #expect(!outcome.timedOut && outcome.status == 128 + 2, "\(outcome)")
        #expect(!folder.exists("run/checkpoints"))
    }
}
