import ArgumentParser
import Checkpoints

/// Which checkpoint of a run a command uses.
struct CheckpointOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Which checkpoint: latest, best (by validation loss), or the number of its update.", valueName: "latest|best|update"
        ))
    var checkpoint = "latest"

    @Flag(help: "Take the moving average of the parameters, which training.average_decay keeps.")
    var average = false

    /// - Throws: `CommandFailure` for what names no checkpoint.
    func choice() throws -> CheckpointChoice {
        switch checkpoint {
        case "latest": return .latest
        case "best": return .best
        default:
            guard let step = Int(checkpoint), step >= 0 else {
                throw CommandFailure(
                    .usage, "--checkpoint must be latest, best or the number of an update, but is \(checkpoint)")
            }
            return .step(step)
        }
    }
}
