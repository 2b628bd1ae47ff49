import Testing
import _TestSupport

/// The conformance suite on MPI, in processes that mpirun starts.
@Suite(.serialized) struct MPITests {
    /// With a main thread that computes, and one that serves the thread that does.
    @Test(arguments: [
        ("collectives", 2), ("collectives", 4), ("small-counts", 2), ("small-counts", 3), ("collectives served", 1),
        ("collectives served", 2), ("collectives served", 4), ("small-counts served", 3), ("idle served", 2),
        ("idle served", 4),
    ])
    func conformance(suite: String, ranks: Int) throws {
        let outcome = try MPILauncher.run(
            executable: BuiltProducts.path("mpi-conformance"), arguments: suite.split(separator: " ").map(String.init),
            ranks: ranks, timeout: 60)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stdout.hasPrefix("\(ranks) ranks\n"))
        #expect(outcome.stdout.hasSuffix("conformance passed\n"))
    }

    @Test(arguments: [(2, []), (4, []), (2, ["served"]), (4, ["served"])] as [(Int, [String])])
    func aFailingRankEndsAll(ranks: Int, mode: [String]) throws {
        let outcome = try MPILauncher.run(
            executable: BuiltProducts.path("mpi-conformance"), arguments: ["failing-rank"] + mode, ranks: ranks, timeout: 60)
        #expect(!outcome.timedOut)
        #expect(outcome.status == 70, "\(outcome)")
        #expect(outcome.stderr.contains("reading on rank \(ranks - 1): a fault of this rank alone"))
        #expect(!outcome.stdout.contains("conformance passed"))
    }

    /// A main thread that serves is no obstacle to the watchdog of a rank that waits for ever.
    @Test(arguments: [[], ["served"]] as [[String]]) func ranksThatWaitForAStoppedOneGiveUp(mode: [String]) throws {
        let outcome = try MPILauncher.run(
            executable: BuiltProducts.path("mpi-conformance"), arguments: ["stopped-rank"] + mode, ranks: 2, timeout: 60)
        #expect(!outcome.timedOut)
        #expect(outcome.status == 71, "\(outcome)")
        #expect(outcome.stderr.contains("watchdog: startAllReduce #1 among ranks 0, 1 has kept rank 0 waiting"), "\(outcome)")
    }

    @Test func ranksThatDoNotEndAreKilled() throws {
        let outcome = try MPILauncher.run(
            executable: "/bin/sh", arguments: ["-c", "echo $$; exec sleep 600"], ranks: 2, timeout: 10)
        #expect(outcome.timedOut)
        let ranks = outcome.stdout.split(separator: "\n").compactMap { Int32($0) }
        #expect(ranks.count == 2, "\(outcome)")
        for rank in ranks { #expect(Subprocess.ends(rank, within: 5), "process \(rank) is alive") }
    }

    @Test func withoutALauncherMPIIsNotTouched() throws {
        let outcome = try Subprocess.run(BuiltProducts.path("mpi-conformance"), ["collectives"], timeout: 20)
        #expect(outcome.status == 64)
        #expect(outcome.stderr == "mpi-conformance must be run under mpirun\n")
    }

    @Test func anUnknownSuiteIsNamed() throws {
        let outcome = try Subprocess.run(BuiltProducts.path("mpi-conformance"), ["colectives"], timeout: 20)
        #expect(outcome.status == 64)
        #expect(outcome.stderr.contains("must be one of collectives, failing-rank, idle, small-counts, stopped-rank"))
    }
}
