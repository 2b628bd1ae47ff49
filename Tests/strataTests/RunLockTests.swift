import Collectives
import Foundation
import Runs
import Testing
import _TestSupport

@testable import strata

/// Two trainings never write one folder; and the ranks' reports beside it.
@Suite(.hangLimit) struct RunLockTests {
    private let folder = CommandLineFolder()
    private var run: RunFolder { RunFolder(path: folder.path) }

    @Test func theSecondIsRefused() throws {
        let first = try RunLock(run, patience: 0) { Issue.record("must not wait: \($0)") }
        var told: [String] = []
        let error = #expect(throws: CommandFailure.self) { _ = try RunLock(run, patience: 0.1) { told.append($0) } }
        #expect(error?.status == .internal)
        #expect(error?.description.hasPrefix("\(folder.path): another training writes into this folder") == true)
        #expect(error?.description.contains("process \(getpid()) on ") == true)
        #expect(told.count == 1 && told[0].hasPrefix("waiting for another training to leave \(folder.path)"))
        withExtendedLifetime(first) {}
    }

    /// A rank that outlives the first one of its training holds the folder as well.
    @Test func everyRankHoldsIt() throws {
        var first: RunLock? = try RunLock(run, patience: 0) { _ in }
        var other: RunLock? = try RunLock(joining: run)
        withExtendedLifetime(first) {}
        first = nil
        #expect(throws: CommandFailure.self) { _ = try RunLock(run, patience: 0) { _ in } }
        withExtendedLifetime(other) {}
        other = nil
        _ = try RunLock(run, patience: 0) { _ in }
    }

    @Test func aFolderThatIsNotThere() {
        #expect(throws: (any Error).self) { _ = try RunLock(RunFolder(path: "\(folder.path)/none"), patience: 0) { _ in } }
    }

    /// It waits until the first has gone, and goes on from what that has written.
    @Test func aSecondTrainingWaitsForTheFirstToEnd() throws {
        let script = """
            first= second=
            trap 'kill -KILL $first $second 2>/dev/null' EXIT
            "$STRATA" train "$CONFIG" --out "$OUT" --set training.updates=1000000 2>/dev/null & first=$!
            until [ -e "$OUT/checkpoints/latest" ]; do sleep 0.02; kill -0 $first || exit 1; done
            "$STRATA" train "$CONFIG" --out "$OUT" --resume --set training.updates=1000000 \
                --set training.max_minutes=0.001 2>"$OUT/log" &
            second=$!
            until grep -q waiting "$OUT/log"; do sleep 0.02; kill -0 $second || exit 2; done
            before=$(wc -l <"$OUT/metrics.jsonl")
            until [ $(wc -l <"$OUT/metrics.jsonl") -gt $before ]; do sleep 0.02; kill -0 $first || exit 3; done
            kill -KILL $first
            wait $second
            """
        let outcome = try Subprocess.run(
            "bash", ["-c", script],
            environment: [
                "STRATA": try BuiltProducts.path("strata"), "CONFIG": TinyCommandLine.configuration,
                "OUT": "\(folder.path)/run",
            ], timeout: 30)
        #expect(outcome.status == 0, "\(outcome)")
        let log = String(decoding: try folder.data("run/log"), as: UTF8.self)
        #expect(log.components(separatedBy: "waiting for another training to leave").count == 2, "said once: \(log)")
        #expect(log.contains("resuming from "))
    }

    @Test func ranksReadEachOthersReports() throws {
        let ranks = "\(folder.path)/ranks"
        try RankFiles.clear(ranks)
        let files = try (0..<2).map { try RankFiles(ranks, rank: $0) }
        #expect(files[0].report(of: 1) == nil, "nothing is there yet")
        var report = RankReport(rank: 1, process: 7, host: "a host of a long name", beat: 100, entered: ["world": 5])
        files[1].post(report)
        #expect(files[0].report(of: 1) == report)
        (report.host, report.beat) = ("h", 1)
        files[1].post(report)
        #expect(files[0].report(of: 1) == report, "a shorter one leaves nothing of a longer")
        #expect(try folder.names("ranks") == ["00000.json", "00001.json"])
        files[0].remove()
        #expect(folder.exists("ranks"))
        files[1].remove()
        #expect(!folder.exists("ranks"))
        try RankFiles.clear(ranks)
        _ = try RankFiles(ranks, rank: 3)
        try RankFiles.clear(ranks)
        #expect(try folder.names("ranks") == [])
    }
}
