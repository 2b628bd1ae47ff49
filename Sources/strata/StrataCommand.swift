import ArgumentParser
import Foundation

/// The command `strata`.
///
/// `main` is synchronous: after the first `await` of an asynchronous one the process's first thread is no longer the one that
/// runs, and MPI, which is initialised for that thread alone, could not be called.
@main
struct StrataCommand: ParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "strata",
        abstract: "Trains translation Transformers with stratified mixtures of experts, expert-parallel over MPI.",
        discussion: """
            Example:
              strata doctor
              strata prepare configs/quickstart.yaml
              mpirun -n 2 strata train configs/quickstart.yaml --out runs/quickstart
            """,
        version: "strata \(version)",
        subcommands: [DoctorCommand.self])

    static func main() {
        Foundation.exit(run(Array(CommandLine.arguments.dropFirst())).rawValue)
    }

    /// Runs the command that the arguments name. Errors are printed on standard error.
    static func run(_ arguments: [String]) -> ExitStatus {
        do {
            try checkSubcommand(arguments)
            var command = try parseAsRoot(arguments)
            try command.run()
            return .done
        } catch {
            return report(error)
        }
    }

    /// Prints an error where it belongs; the status to end with.
    private static func report(_ error: any Error) -> ExitStatus {
        // Help, the version and usage errors are the parser's own.
        let parserStatus = exitCode(for: error)
        if error is ExitCode || error is CleanExit || error is ValidationError || isParserError(error) {
            let text = fullMessage(for: error)
            if !text.isEmpty {
                FileHandle(fileDescriptor: parserStatus.isSuccess ? STDOUT_FILENO : STDERR_FILENO).write(Data((text + "\n").utf8))
            }
            return ExitStatus(rawValue: parserStatus.rawValue) ?? .internal
        }
        FileHandle.standardError.write(Data(errorText(for: error).utf8))
        return ExitStatus(for: error)
    }

    /// The parser wraps what it throws in a type of its own that it does not make public; what a command throws comes as it is.
    private static func isParserError(_ error: any Error) -> Bool {
        String(reflecting: type(of: error)).hasPrefix("ArgumentParser.")
    }

    /// The parser calls a misspelled subcommand an unexpected argument; this says which one was probably meant.
    private static func checkSubcommand(_ arguments: [String]) throws {
        var command: any ParsableCommand.Type = self
        var path = "strata"
        for argument in arguments {
            let subcommands = command.configuration.subcommands
            guard !subcommands.isEmpty, !argument.hasPrefix("-"), argument != "help" else { return }
            if let next = subcommands.first(where: { $0._commandName == argument }) {
                command = next
                path += " \(argument)"
            } else {
                let names = subcommands.map { $0._commandName }
                let suggestion = nearestName(to: argument, among: names).map { "did you mean \(path) \($0)? " } ?? ""
                throw CommandFailure(
                    .usage, "\(path) \(argument) is not a command; \(suggestion)Commands of \(path): \(names.joined(separator: ", ")). "
                        + "See \(path) --help")
            }
        }
    }
}
