import ArgumentParser

/// `strata checkpoint`: what checkpoints a run has, whether they are sound, which can go, and their mean.
struct CheckpointCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "checkpoint",
        abstract: "List, verify, prune and average the checkpoints of a run.",
        discussion: """
            Example:
              strata checkpoint list runs/quickstart
              strata checkpoint verify runs/quickstart
              strata checkpoint prune runs/quickstart --keep 1
              strata checkpoint average runs/quickstart --last 3
            """,
        subcommands: [
            CheckpointListCommand.self, CheckpointVerifyCommand.self, CheckpointPruneCommand.self,
            CheckpointAverageCommand.self,
        ])
}
