import ArgumentParser
import ConfigurationForms
import Foundation
import MPICollectives
import TensorCore

/// The command `strata`.
///
/// `main` is synchronous: after the first `await` of an asynchronous one the process's first thread is no longer the one that
/// runs, and MPI, which is initialised for that thread alone, could not be called.
@main
struct StrataCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "strata",
        abstract: "Trains translation Transformers with stratified mixtures of experts, expert-parallel over MPI.",
        discussion: """
            Example:
              strata doctor
              strata prepare configs/quickstart.yaml
              mpirun -n 2 strata train configs/quickstart.yaml --out runs/quickstart
            """,
        version: "strata \(programVersion)",
        subcommands: [
            PlanCommand.self, SimulateCommand.self, PrepareCommand.self, TrainCommand.self, EvaluateCommand.self,
            TranslateCommand.self, ScoreCommand.self, AnalyzeCommand.self, ReportCommand.self, SweepCommand.self,
            CheckpointCommand.self, ExportCommand.self, ConvertCommand.self, BenchCommand.self, DoctorCommand.self,
        ])

    static func main() {
        Foundation.exit(run(Array(CommandLine.arguments.dropFirst())).rawValue)
    }

    /// Runs the command that the arguments name. Errors are printed on standard error.
    static func run(_ arguments: [String]) -> ExitStatus {
        var command: any ParsableCommand
        do {
            try checkSubcommand(arguments)
            command = try parseAsRoot(arguments)
            try checkRanks(command)
            try checkKernels()
        } catch {
            // All ranks have the same arguments, and find the same in them.
            return RankWorld.saidOnce { report(error, isSilent: $0) }
        }
        do {
            try command.run()
            return .done
        } catch {
            return report(error)
        }
    }

    /// Prints an error where it belongs; the status to end with.
    private static func report(_ error: any Error, isSilent: Bool = false) -> ExitStatus {
        // Help, the version and usage errors are the parser's own; it knows any other error as a mere failure.
        let parserStatus = exitCode(for: error)
        guard parserStatus != .failure || error is ExitCode else {
            if !isSilent { FileHandle.standardError.write(Data(errorText(for: error).utf8)) }
            return ExitStatus(for: error)
        }
        let text = fullMessage(for: error)
        if !text.isEmpty, !isSilent {
            FileHandle(fileDescriptor: parserStatus.isSuccess ? STDOUT_FILENO : STDERR_FILENO).write(Data((text + "\n").utf8))
        }
        return ExitStatus(rawValue: parserStatus.rawValue) ?? .internal
    }

    /// Every command that does something, with its full name.
    static var leaves: [(name: String, type: any ParsableCommand.Type)] { leaves(below: Self.self, name: "strata") }

    private static func leaves(
        below command: any ParsableCommand.Type, name: String
    ) -> [(name: String, type: any ParsableCommand.Type)] {
        let subcommands = command.configuration.subcommands
        guard !subcommands.isEmpty else { return [(name, command)] }
        return subcommands.flatMap { leaves(below: $0, name: "\(name) \($0._commandName)") }
    }

    /// Refuses to do on every rank what is to be done once.
    private static func checkRanks(_ command: any ParsableCommand) throws {
        guard MPIEnvironment.launchedRanks > 1, !(command is any RunsOnRanks),
            let leaf = leaves.first(where: { $0.type == type(of: command) })
        else { return }
        throw CommandFailure(.usage, "\(leaf.name) runs on one process: leave mpirun out")
    }

    /// Refuses kernels that the processor can't run, before anything multiplies.
    private static func checkKernels() throws {
        do {
            _ = try GEMM.chosenKernels(by: ProcessInfo.processInfo.environment)
        } catch {
            throw CommandFailure(.usage, "\(error)")
        }
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
                    .usage,
                    "\(path) \(argument) is not a command; \(suggestion)"
                        + "Commands of \(path): \(names.joined(separator: ", ")). See \(path) --help")
            }
        }
    }
}
