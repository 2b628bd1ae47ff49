import Testing
import _TestSupport

/// The conformance suite on MPI, in processes that mpirun starts.
@Suite(.serialized) struct MPITests {
    @Test(arguments: [("collectives", 2), ("collectives", 4), ("small-counts", 2), ("small-counts", 3)])
    func conformance(suite: String, ranks: Int) throws {
        let outcome = try MPILauncher.run(
            executable: BuiltProducts.path("mpi-conformance"), arguments: [suite], ranks: ranks, timeout: 60)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stdout.hasPrefix("\(ranks) ranks\n"))
        #expect(outcome.stdout.hasSuffix("conformance passed\n"))
    }

    @Test(arguments: [2, 4]) func aFailingRankEndsAll(ranks: Int) throws {
        let outcome = try MPILauncher.run(
            executable: BuiltProducts.path("mpi-conformance"), arguments: ["failing-rank"], ranks: ranks, timeout: 60)
        #expect(!outcome.timedOut)
        #expect(outcome.status == 70, "\(outcome)")
        #expect(outcome.stderr.contains("reading on rank \(ranks - 1): a fault of this rank alone"))
        #expect(!outcome.stdout.contains("conformance passed"))
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
        #expect(outcome.stderr.contains("must be one of collectives, failing-rank, small-counts"))
    }
}
