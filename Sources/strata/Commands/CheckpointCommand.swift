import ArgumentParser
import Training

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

/// Which checkpoint of a run a command uses.
struct CheckpointOptions: ParsableArguments {
    @Option(help: ArgumentHelp(
        "Which checkpoint: latest, best (by validation loss), or the number of its update.", valueName: "latest|best|update"))
    var checkpoint = "latest"

    /// - Throws: `CommandFailure` for what names no checkpoint.
    func choice() throws -> CheckpointChoice {
        switch checkpoint {
        case "latest": return .latest
        case "best": return .best
        default:
            guard let step = Int(checkpoint), step >= 0 else {
                throw CommandFailure(.usage, "--checkpoint must be latest, best or the number of an update, but is \(checkpoint)")
            }
            return .step(step)
        }
    }
}
