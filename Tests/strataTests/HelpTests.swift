import ArgumentParser
import Testing

@testable import strata

/// The help texts, as a terminal of 80 columns shows them.
@Suite struct HelpTests {
    private static func commands(of command: any ParsableCommand.Type) -> [any ParsableCommand.Type] {
        [command] + command.configuration.subcommands.flatMap(commands)
    }

    private static let all = commands(of: StrataCommand.self)

    /// The parser wraps what is longer, and leaves shorter lines as they are.
    @Test func samplesStayWhole() {
        for command in Self.all {
            let help = StrataCommand.helpMessage(for: command, columns: 80).split(separator: "\n")
            for line in command.configuration.discussion.split(separator: "\n") where line.hasPrefix(" ") {
                #expect(line.count <= 76, "\(line)")
                #expect(help.contains(line), "\(command): \(line)")
            }
        }
    }

    /// A line of prose that the source breaks would be broken twice.
    @Test func proseIsBrokenByTheParserAlone() {
        for command in Self.all {
            let lines = command.configuration.discussion.split(separator: "\n", omittingEmptySubsequences: false)
            for (line, next) in zip(lines, lines.dropFirst()) where !line.isEmpty && !next.isEmpty {
                #expect(line.hasPrefix(" ") || next.hasPrefix(" "), "\(command): \(line)\n\(next)")
            }
        }
    }

    @Test func everyCommandHasAnExample() {
        for command in Self.all {
            let samples = command.configuration.discussion.split(separator: "\n").filter { $0.hasPrefix("  ") }
            let name = command == StrataCommand.self ? "strata" : command._commandName
            #expect(samples.contains { $0.contains("strata ") && $0.contains(name) }, "\(command)")
        }
    }

    @Test func sharedOptionsAreDescribedAlike() {
        for command in Self.all {
            let help = StrataCommand.helpMessage(for: command, columns: 200)
            for line in help.split(separator: "\n") where line.contains("--json") && !line.contains("strata ") {
                #expect(line.contains("Print JSON, and nothing else, on standard output."), "\(command): \(line)")
            }
            // An option's own name says nothing of its value; but a run is what all commands call the folder of one.
            let repeated = help.matches(of: /--([a-z-]+) <\1>/).map(\.1).filter { $0 != "run" }
            #expect(repeated.isEmpty, "\(command): \(repeated)")
        }
    }
}
