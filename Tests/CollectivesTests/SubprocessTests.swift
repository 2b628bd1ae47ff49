import Testing
import _TestSupport

@Suite struct SubprocessTests {
    @Test func tellsStatusAndOutput() throws {
        let outcome = try Subprocess.run(
            "sh", ["-c", "read line; echo \"out $line $VARIABLE\"; echo err >&2; exit 3"], environment: ["VARIABLE": "v"],
            input: "in\n", timeout: 20)
        #expect(outcome.status == 3)
        #expect(outcome.stdout == "out in v\n")
        #expect(outcome.stderr == "err\n")
        #expect(!outcome.timedOut)
    }

    @Test func endsWhatDoesNotEnd() throws {
        let outcome = try Subprocess.run("sh", ["-c", "sleep 600 & echo $!; sleep 600"], timeout: 0.5)
        #expect(outcome.timedOut)
        #expect(outcome.status == 128 + 15)
        let child = try #require(Int32(outcome.stdout.dropLast()))
        #expect(Subprocess.ends(child, within: 5))
    }

    @Test func killsWhatRefusesToEnd() throws {
        let outcome = try Subprocess.run("sh", ["-c", "trap '' TERM; while true; do sleep 1; done"], timeout: 0.3)
        #expect(outcome.timedOut)
        #expect(outcome.status == 128 + 9)
    }

    @Test func tellsThatItCannotStart() {
        #expect(throws: Subprocess.LaunchFailure.self) { try Subprocess.run("/no/such/program", timeout: 5) }
    }
}
