import ArgumentParser
import Foundation

/// `strata doctor`: what of the environment is there, and what to do about what is not.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check processor, libraries and limits, and say what to do about what is not as it should be.",
        discussion: """
            Ends with 0 unless something required is missing. Does not start MPI.

            Example:
              strata doctor
              strata doctor --json
            """)

    @Flag(help: "Print the checks as JSON: name, status (fine, warning, missing), found, advice.")
    var json = false

    func run() throws {
        let checks = EnvironmentChecks.all(.ofThisMachine())
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            print(String(decoding: try encoder.encode(["checks": checks]), as: UTF8.self))
        } else {
            print(checks.map(\.text).joined(), terminator: "")
        }
        if checks.contains(where: { $0.status == .missing }) { throw ExitCode(ExitStatus.internal.rawValue) }
    }
}
