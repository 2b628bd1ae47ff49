import ArgumentParser
import Files
import Foundation

/// `strata doctor`: what of the environment is there, and what to do about what is not. A launcher may start it on many nodes:
/// each process looks at its own.
struct DoctorCommand: ParsableCommand, RunsOnRanks {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check processor, libraries and limits, and say what to do about what is not as it should be.",
        discussion: """
            Ends with 0 unless something required is missing. Does not start MPI. As JSON, a check has name, status (fine, \
            warning, missing), found and advice.

            Example:
              strata doctor
              strata doctor --json
            """)

    @Flag(help: .json)
    var json = false

    func run() throws {
        let checks = EnvironmentChecks.all(.ofThisMachine())
        if json {
            print(try JSONText.pretty(["checks": checks]), terminator: "")
        } else {
            print(checks.map(\.text).joined(), terminator: "")
        }
        if checks.contains(where: { $0.status == .missing }) { throw ExitCode(ExitStatus.internal.rawValue) }
    }
}
