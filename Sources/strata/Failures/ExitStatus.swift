import Checkpoints
import Collectives
import ConfigurationForms
import DataPipeline
import Files
import Foundation
import MixtureOfExperts
import ModelSurgery
import Planning
import Runs
import TensorCore
import Training

/// How `strata` ends, as BSD's sysexits name it where they have a name.
enum ExitStatus: Int32, Sendable {
    case done = 0
    /// What was checked does not hold.
    case failed = 1
    /// Wrong usage of the command, or a configuration that cannot be used.
    case usage = 64
    /// Input data that cannot be used, or on which training diverges.
    case data = 65
    /// A failure of the program, or of a peer.
    case `internal` = 70
    /// Files or folders that cannot be read or written.
    case inputOutput = 74
    /// Stopped before the end, at a state from which `--resume` continues.
    case resumable = 75

    /// The one place that gives errors their exit status.
    init(for error: any Error) {
        switch error {
        case let failure as CommandFailure: self = failure.status
        case is ConfigurationError, is SurgeryError: self = .usage
        case let error as RunError:
            switch error.kind {
            case .usage: self = .usage
            case .data: self = .data
            case .program: self = .internal
            }
        case let error as PlanningError:
            switch error.kind {
            case .usage: self = .usage
            case .data: self = .data
            }
        case is PlacementError, is PrecisionError: self = .usage
        case let error as DataError:
            switch error.kind {
            case .configuration: self = .usage
            case .text, .tokenizer, .prepared: self = .data
            case .inputOutput: self = .inputOutput
            }
        case let error as CheckpointError:
            switch error {
            case .damaged, .none: self = .data
            case .incompatible, .absent, .noneValidated: self = .usage
            case .notWritten: self = .inputOutput
            }
        case is FileError: self = .inputOutput
        case is TrainingError: self = .data
        case is CollectiveError: self = .internal
        case is CocoaError, is POSIXError: self = .inputOutput
        default: self = .internal
        }
    }
}

/// A failure that a command finds itself, with the status to end with.
struct CommandFailure: Error, Equatable, CustomStringConvertible {
    var status: ExitStatus
    /// "must be X, but is Y", and what to do next.
    var description: String

    init(_ status: ExitStatus, _ description: String) {
        self.status = status
        self.description = description
    }
}

/// What is printed on standard error for an error, a line a problem.
func errorText(for error: any Error) -> String {
    // Foundation's errors describe themselves in a dump of their fields; their localized text is the readable one.
    let text = error is CocoaError || error is POSIXError ? error.localizedDescription : "\(error)"
    return text.split(separator: "\n", omittingEmptySubsequences: false).map { "strata: error: \($0)\n" }.joined()
}
