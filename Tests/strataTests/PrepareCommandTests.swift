import Foundation
import Testing
import _TestSupport

@Suite struct PrepareCommandTests {
    @Test func figuresGoToStandardOutputAndProgressToStandardError() {
        let outcome = TinyCommandLine.outcomes.prepare
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stdout.hasPrefix("vocabulary 120, languages eng cat isl\n"))
        #expect(outcome.stdout.contains("eng-isl  train    200        0\n"))
        let cost = #/: prepared, [\d,]+ lines in [\d.]+ s, [\d,]+ a second, at most [1-9][\d,]* MiB of memory\n$/#
        #expect(
            outcome.stderr.contains("\(TinyCommandLine.data): prepared") && outcome.stderr.contains(cost), "\(outcome.stderr)")
    }

    @Test func againItDoesNothing() throws {
        let outcome = try Launch.alone.strata(["prepare", TinyCommandLine.configuration])
        #expect(outcome.status == 0)
        #expect(outcome.stderr.contains("already prepared"))
        #expect(outcome.stdout == TinyCommandLine.outcomes.prepare.stdout)
    }

    @Test func aFolderThatCannotBeMadeIsNamed() throws {
        let folder = CommandLineFolder()
        try folder.write("file", Data())
        let outcome = try Launch.alone.strata([
            "prepare", TinyCommandLine.configuration, "--set", "data.prepared=\(folder.path)/file/prepared",
        ])
        expectError(outcome, 74, "\(folder.path)/file")
    }
}
