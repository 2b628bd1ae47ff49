import Foundation
import Testing
import _TestSupport

/// `strata translate`, alone and under mpirun.
@Suite(.serialized, .hangLimit) struct TranslateCommandTests {
    private func translate(_ launch: Launch, _ input: String, _ options: String...) throws -> Subprocess.Outcome {
        try launch.strata(["translate", TinyCommandLine.run, "--direction", "eng-cat", "--beam", "2"] + options, input: input)
    }

    @Test func aLineInALineOut() throws {
        let lines = (0..<70).map { $0 % 7 == 3 ? "" : "one hundred \($0 % 2 == 0 ? "two" : "twenty-three")" }
        let outcome = try translate(.alone, lines.joined(separator: "\n"))
        #expect(outcome.status == 0 && outcome.stderr.isEmpty, "\(outcome)")
        let translations = outcome.stdout.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        #expect(translations.count == 70)
        for (line, translation) in zip(lines, translations) where line.isEmpty { #expect(translation.isEmpty) }
        // The same sentence is translated the same way in any batch.
        #expect(translations[0] == translations[64] && translations[1] == translations[69])
    }

    @Test func withoutInputThereIsNoOutput() throws {
        let outcome = try translate(.alone, "")
        #expect(outcome.status == 0 && outcome.stdout.isEmpty, "\(outcome)")
    }

    @Test func textOfAnyKindHasATranslation() throws {
        let long = String(repeating: "nine ", count: 3000)
        let outcome = try translate(.alone, "数百 \u{1F600}\n\t \n<2isl> </s>\n\(long)\n")
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stdout.filter { $0 == "\n" }.count == 4)
    }

    @Test(arguments: [Launch.alone, .mpirun(2)]) func anUnknownDirection(launch: Launch) throws {
        let outcome = try launch.strata(["translate", TinyCommandLine.run, "--direction", "cat-isl"], input: "un\n")
        expectError(
            outcome, 64,
            "--direction must be one that the model was trained for, but is cat-isl. "
                + "Directions: eng-cat, cat-eng, eng-isl, isl-eng\n")
        let near = try launch.strata(["translate", TinyCommandLine.run, "--direction", "eng-ct"], input: "un\n")
        expectError(near, 64, "but is eng-ct; did you mean eng-cat? Directions: eng-cat, cat-eng, eng-isl, isl-eng\n")
    }

    @Test(arguments: [Launch.alone, .mpirun(2)]) func impossibleSearches(launch: Launch) throws {
        expectError(try translate(launch, "one\n", "--beam", "0"), 64, "--beam must be at least 1, but is 0")
        expectError(try translate(launch, "one\n", "--beam", "-1"), 64, "--beam must be at least 1, but is -1")
    }

    /// Alone, and with a beam; a line for a line.
    @Test func contrast() throws {
        let input = "seven\n\nforty-two\n"
        for beam in ["1", "3"] {
            let outcome = try translate(.alone, input, "--contrast", "rounds:1", "--beam", beam)
            #expect(outcome.status == 0 && outcome.stdout.count { $0 == "\n" } == 3, "\(outcome)")
            // Where everything is a candidate and nothing is moved.
            let none = ["--contrast", "rounds:1", "--contrast-beta", "0", "--contrast-alpha", "1e-30", "--beam", beam]
            let same = try Launch.alone.strata(
                ["translate", TinyCommandLine.run, "--direction", "eng-cat"] + none, input: input)
            #expect(same.stdout == (try translate(.alone, input, "--beam", beam)).stdout)
        }
        let ranked = try translate(.alone, input, "--contrast", "rank:2", "--beam", "2")
        #expect(
            ranked.status == 0 && ranked.stdout.split(separator: "\n", omittingEmptySubsequences: false).count > 1, "\(ranked)")
        expectError(
            try translate(.alone, input, "--contrast", "worst:2"), 64,
            "--contrast must be rounds:m or rank:k with a number from 1 to 64")
        expectError(
            try translate(.alone, input, "--contrast", "rounds:1", "--contrast-alpha", "0"), 64,
            "--contrast-alpha must be above 0 and at most 1, but is 0.0")
        expectError(
            try Launch.alone.strata(
                ["translate", TinyCommandLine.run, TinyCommandLine.run, "--direction", "eng-cat", "--contrast", "rounds:1"]),
            64,
            "--contrast must be of one run, but 2 are given as an ensemble")
    }

    @Test func aFolderThatIsNoRun() throws {
        let outcome = try Launch.alone.strata(["translate", "/nowhere", "--direction", "eng-cat"], input: "one\n")
        expectError(outcome, 64, "/nowhere: must be the folder of a run")
    }
}
