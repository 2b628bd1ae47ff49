import Testing
import _TestSupport

/// A sample of what `fuzz-readers` does at length.
@Suite(.hangLimit) struct FuzzTests {
    @Test func damagedFilesAreReadOrRefused() throws {
        let outcome = try Subprocess.run(
            try BuiltProducts.path("fuzz-readers"), ["--iterations", "1000", "--seed", "7"], timeout: 150)
        #expect(outcome.status == 0 && outcome.stdout.hasSuffix("nothing found\n"), "\(outcome)")
    }
}
