import ArgumentParser

/// `strata checkpoint`: what checkpoints a run has, whether they are sound, and which can go.
struct CheckpointCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "checkpoint",
        abstract: "List, verify and prune the checkpoints of a run.",
        discussion: """
            Example:
              strata checkpoint list runs/quickstart
              strata checkpoint verify runs/quickstart
              strata checkpoint prune runs/quickstart --keep 1
            """,
        subcommands: [CheckpointListCommand.self, CheckpointVerifyCommand.self, CheckpointPruneCommand.self])
}
