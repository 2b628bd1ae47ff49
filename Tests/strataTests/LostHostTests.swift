import Foundation
import Testing
import _TestSupport

/// Hosts that vanish while `launch/run.sh` trains on them.
@Suite struct LostHostTests {
    /// Trains under `launch/run.sh`, does something in the shell once there is a checkpoint (`$CLUSTER` is `launch/cluster.sh`),
    /// and waits for the end.
    private static func train(
        _ cluster: TestCluster, out: String, updates: Int, options: [String], once script: String
    ) throws -> Subprocess.Outcome {
        let whole = """
            trap 'cat "$OUT.log" >&2' EXIT
            "$CLUSTER" run "$@" 2>"$OUT.log" & pid=$!
            until [ -e "$OUT/checkpoints/latest" ]; do sleep 0.02; kill -0 $pid || exit 98; done
            \(script)
            wait $pid
            """
        let outcome = try Subprocess.run(
            "bash",
            ["-c", whole, "bash"] + options + [
                "--max-restarts", "20", "--backoff", "0", "--", "train", TinyCommandLine.configuration, "--out", out,
                "--set", "training.updates=\(updates)",
            ],
            environment: [
                "STRATA": try BuiltProducts.path("strata"), "STRATA_CLUSTER": cluster.state, "OUT": out,
                "CLUSTER": "\(TestCluster.launch)/cluster.sh",
                // A host is given up after four seconds of silence, not thirty.
                "OMPI_MCA_oob_tcp_keepalive_time": "2", "OMPI_MCA_oob_tcp_keepalive_intvl": "1",
                "OMPI_MCA_oob_tcp_keepalive_probes": "2",
            ], timeout: 60)
        #expect(!outcome.timedOut, "\(outcome)")
        return outcome
    }

    /// One of three hosts goes for good: the others finish.
    @Test(.enabled(if: TestCluster.isPossible, TestCluster.whyNot))
    func theOthersGoOn() throws {
        let cluster = try TestCluster(hosts: 3), folder = CommandLineFolder(), updates = 200
        let outcome = try Self.train(
            cluster, out: "\(folder.path)/lost", updates: updates, options: ["-n", "3", "--min-ranks", "2"],
            once: "\"$CLUSTER\" cut 3")
        #expect(outcome.status == 0, "\(outcome)")
        #expect(
            outcome.stderr.contains("run.sh: no answer from node3; going on with 2 of 3 ranks on node1, node2\n"), "\(outcome)")
        let whole = try Launch.mpirun(3).strata([
            "train", TinyCommandLine.configuration, "--out", "\(folder.path)/whole", "--set", "training.updates=\(updates)",
        ])
        #expect(whole.status == 0, "\(whole)")
        let losses = try folder.losses("lost"), expected = try folder.losses("whole")
        #expect(losses.count == updates && expected.count == updates)
        // Other ranks, another order of sums.
        for (loss, expected) in zip(losses, expected) { #expect(abs(loss - expected) <= 5e-3 * expected) }
    }

    /// The link of one of two hosts goes, and comes back while the other waits for it: as if nothing had been.
    @Test(.enabled(if: TestCluster.isPossible, TestCluster.whyNot))
    func aHostThatComesBackIsUsed() throws {
        let cluster = try TestCluster(hosts: 2), folder = CommandLineFolder(), updates = 200
        let outcome = try Self.train(
            cluster, out: "\(folder.path)/lost", updates: updates, options: ["-n", "2"],
            once: """
                "$CLUSTER" cut 2
                until grep -q "no answer" "$OUT.log"; do sleep 0.1; kill -0 $pid || break; done
                "$CLUSTER" heal 2
                """)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(
            outcome.stderr.contains(
                "run.sh: no answer from node2: the others have slots for 1 rank(s), but there must be 2 (see --min-ranks)\n"),
            "\(outcome)")
        #expect(outcome.stderr.contains("run.sh: node2: there again; going on with 2 ranks\n"), "\(outcome)")
        let whole = try Launch.mpirun(2).strata([
            "train", TinyCommandLine.configuration, "--out", "\(folder.path)/whole", "--set", "training.updates=\(updates)",
        ])
        #expect(whole.status == 0, "\(whole)")
        #expect(try folder.losses("lost") == folder.losses("whole"))
    }
}
