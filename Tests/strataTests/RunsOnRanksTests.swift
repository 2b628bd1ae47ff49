import Testing
import _TestSupport

@testable import strata

/// Commands that are to be done once refuse to be started as several ranks.
@Suite(.hangLimit) struct RunsOnRanksTests {
    private static let once = [
        ["plan", "--paper"], ["simulate", "a.yaml", "--ranks", "2"], ["prepare", "a.yaml"], ["report", "a"],
        ["sweep", "a.yaml"], ["export", "a", "--out", "b"],
        ["checkpoint", "list", "a"], ["checkpoint", "prune", "a", "--keep", "1"], ["checkpoint", "verify", "a"],
        ["checkpoint", "average", "a", "--last", "2"],
        ["bench", "gemm"], ["bench", "experts"],
        ["convert", "upcycle", "a", "--strata", "2", "--out", "b"],
        ["convert", "mpoe", "a", "--strata", "2", "--out", "b"],
        ["convert", "moefy", "a", "--strata", "2", "--top-k", "1", "--out", "b"],
        ["convert", "prune", "a", "--keep", "1", "--dry-run"],
        ["convert", "merge", "a", "--groups", "1", "--dry-run"],
    ]

    private static func name(_ arguments: [String]) -> String {
        "strata " + arguments.prefix(["checkpoint", "bench", "convert"].contains(arguments[0]) ? 2 : 1).joined(separator: " ")
    }

    @Test(arguments: once) func isRefusedOnce(arguments: [String]) throws {
        expectError(
            try Launch.mpirun(2).strata(arguments), 64, "\(Self.name(arguments)) runs on one process: leave mpirun out")
    }

    @Test func everyOtherCommandRunsOnRanks() {
        let onRanks = StrataCommand.leaves.filter { $0.type is any RunsOnRanks.Type }.map(\.name)
        #expect(
            Set(onRanks) == [
                "strata train", "strata evaluate", "strata translate", "strata analyze", "strata doctor", "strata bench step",
                "strata bench alltoall", "strata bench decode", "strata bench invariance", "strata bench machine",
                "strata score",
            ])
        #expect(Set(StrataCommand.leaves.map(\.name)) == Set(onRanks).union(Self.once.map(Self.name)))
    }

    @Test func oneRankIsOneProcess() throws {
        let outcome = try Launch.mpirun(1).strata(["plan", "--paper"])
        #expect(outcome.status == 0 && outcome.stderr.isEmpty, "\(outcome)")
    }
}
