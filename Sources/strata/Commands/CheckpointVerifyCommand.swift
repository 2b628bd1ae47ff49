import ArgumentParser
import Checkpoints
import Runs

/// `strata checkpoint verify`: reads every file of every checkpoint.
struct CheckpointVerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Read the checkpoints of a run and name everything that is wrong with them.",
        discussion: """
            Compares sizes and checksums of all files, and that every tensor is there once. Ends with 65 if anything is wrong.

            Example:
              strata checkpoint verify runs/quickstart
            """)

    @Argument(help: ArgumentHelp("The folder of the run.", valueName: "run"))
    var folder: String

    func run() throws {
        let directory = try RunFolder(trained: folder).checkpoints, steps = try CheckpointStore.steps(directory)
        guard !steps.isEmpty else { throw CheckpointError.none(directory: directory, rejected: []) }
        var problems: [CheckpointError] = []
        for step in steps {
            let found = CheckpointReader.problems(directory, step)
            let count = found.count == 1 ? "1 problem" : "\(found.count) problems"
            print("update \(step): \(found.isEmpty ? "sound" : count)")
            problems += found
        }
        guard problems.isEmpty else {
            throw CommandFailure(.data, problems.map(\.description).joined(separator: "\n"))
        }
    }
}
