import ArgumentParser
import Checkpoints
import Files
import Foundation
import Reporting
import Runs

/// `strata checkpoint prune`: removes what need not stay.
struct CheckpointPruneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Remove all but the newest and the best checkpoints of a run.",
        discussion: """
            Damaged checkpoints do not count, and are left where they are: see strata checkpoint verify. Not for a run \
            that is being trained: it prunes its checkpoints itself.

            Example:
              strata checkpoint prune runs/quickstart --keep 1 --dry-run
              strata checkpoint prune runs/quickstart --keep 1 --keep-best 0
            """)

    @Argument(help: ArgumentHelp("The folder of the run.", valueName: "run"))
    var folder: String

    @Option(parsing: .unconditional, help: ArgumentHelp("The newest checkpoints that stay.", valueName: "n"))
    var keep: Int

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("The best checkpoints, by validation loss, that stay besides.", valueName: "n"))
    var keepBest = 1

    @Flag(help: "Name what would be removed, and remove nothing.")
    var dryRun = false

    func run() throws {
        guard keep >= 1 else { throw CommandFailure(.usage, "--keep must be at least 1, but is \(keep)") }
        guard keepBest >= 0 else { throw CommandFailure(.usage, "--keep-best must be at least 0, but is \(keepBest)") }
        let directory = try RunFolder(trained: folder).checkpoints, summaries = try CheckpointSummary.all(directory)
        guard !summaries.isEmpty else { return print("\(directory): there is no checkpoint, and nothing to remove") }
        for summary in summaries {
            guard let problem = summary.problem else { continue }
            warn("\(problem); it is left")
        }
        var bytes = 0
        for step in CheckpointRetention(newest: keep, best: keepBest).expendable(summaries.losses) {
            let path = CheckpointStore.path(directory, step)
            bytes += summaries.first { $0.step == step }?.bytes ?? 0
            if !dryRun { try CheckpointStore.remove(directory, step) }
            print("\(dryRun ? "would remove" : "removed") \(path)")
        }
        print("\(NumberText.mebibytes(bytes)) MiB \(dryRun ? "would be freed" : "freed")")
    }
}
