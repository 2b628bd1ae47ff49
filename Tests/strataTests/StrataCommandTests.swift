import ArgumentParser
import Collectives
import ConfigurationForms
import Foundation
import ModelSurgery
import Runs
import Sweeps
import Testing

@testable import strata

@Suite struct StrataCommandTests {
    @Test func usageErrorsEndWith64() {
        #expect(StrataCommand.run(["docter"]) == .usage)
        #expect(StrataCommand.run(["doctor", "--jsn"]) == .usage)
        #expect(StrataCommand.run(["doctor", "extra"]) == .usage)
        #expect(StrataCommand.run(["--nothing"]) == .usage)
    }

    @Test func helpAndVersionEndWith0() {
        #expect(StrataCommand.run(["--help"]) == .done)
        #expect(StrataCommand.run(["--version"]) == .done)
        #expect(StrataCommand.run(["help", "doctor"]) == .done)
    }

    @Test func errorsHaveTheirStatus() throws {
        let configuration = ConfigurationError(ConfigurationOrigin(source: "a.yaml", line: 3), "must be X, but is Y")
        #expect(ExitStatus(for: configuration) == .usage)
        #expect(StrataProcess.resumableStatus == ExitStatus.resumable.rawValue, "a sweep knows what its commands end with")
        #expect(ExitStatus(for: RunError(.data, "bad")) == .data && ExitStatus(for: RunError(.usage, "bad")) == .usage)
        #expect(ExitStatus(for: RunError(.program, "bad")) == .internal && ExitStatus(for: SurgeryError("bad")) == .usage)
        #expect(ExitStatus(for: CommandFailure(.resumable, "stopped")) == .resumable)
        #expect(ExitStatus(for: CommandFailure(.data, "bad")) == .data)
        #expect(ExitStatus(for: CollectiveError.transport(operation: "barrier", rank: 0, detail: "lost")) == .internal)
        let missing = #expect(throws: (any Error).self) { try Data(contentsOf: URL(fileURLWithPath: "no such file")) }
        #expect(ExitStatus(for: try #require(missing)) == .inputOutput)
        #expect(ExitStatus(for: POSIXError(.ENOSPC)) == .inputOutput)
    }

    @Test func everyProblemIsALineOfItsOwn() {
        let origin = ConfigurationOrigin(source: "a.yaml", line: 3)
        let error = ConfigurationError([.init(origin: origin, text: "one"), .init(origin: origin, text: "two")])
        #expect(errorText(for: error) == "strata: error: a.yaml:3: one\nstrata: error: a.yaml:3: two\n")
    }

    @Test func configurationOptionsTakeOverridesAsTheyAre() throws {
        let options = try ConfigurationOptions.parse(["a.yaml", "--set", "training.updates=1", "--set", "-x=-1"])
        #expect(options.config == "a.yaml" && options.overrides.set == ["training.updates=1", "-x=-1"])
        #expect(throws: (any Error).self) { try ConfigurationOptions.parse([]) }
    }
}
