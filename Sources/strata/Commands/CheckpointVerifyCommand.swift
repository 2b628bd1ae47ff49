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
        let directory = try RunFolder(trained: folder).checkpoints
        var steps = try CheckpointStore.steps(directory)
        guard !steps.isEmpty else { throw CheckpointError.none(directory: directory, rejected: []) }
        var problems: [CheckpointError] = [], newest = -1
        while !steps.isEmpty {
            let step = steps.removeFirst(), found = CheckpointReader.problems(directory, step)
            newest = max(newest, step)
            if !found.isEmpty, !CheckpointStore.isPresent(directory, step) {
                // A training has put another in its place.
                print("update \(step): removed meanwhile")
                if steps.isEmpty { steps = try CheckpointStore.steps(directory).filter { $0 > newest }.suffix(1) }
                continue
            }
            let count = found.count == 1 ? "1 problem" : "\(found.count) problems"
            print("update \(step): \(found.isEmpty ? "sound" : count)")
            problems += found
        }
        guard problems.isEmpty else {
            throw CommandFailure(.data, problems.map(\.description).joined(separator: "\n"))
        }
    }
}
