/// What is wrong with a checkpoint, or went wrong with writing one.
public enum CheckpointError: Error, Equatable, CustomStringConvertible {
    /// A file of the checkpoint is missing, or is not what was written. A file that the system cannot read is a `FileError`: it
    /// may well be sound.
    case damaged(path: String, reason: String)
    case none(directory: String, rejected: [String])
    case absent(directory: String, step: Int, present: [Int])
    /// There are checkpoints, but none of a validated update.
    case noneValidated(directory: String)
    /// The checkpoint is of another model, or of other data.
    case incompatible(path: String, differences: [String])
    /// Some ranks could not write their parts, for these reasons. Every rank throws it.
    case notWritten(step: Int, reasons: [String])

    public var description: String {
        switch self {
        case let .damaged(path, reason):
            "\(path): \(reason): the checkpoint is damaged and was not loaded"
        case let .none(directory, rejected):
            rejected.isEmpty
                ? "\(directory): there is no checkpoint: train first"
                : "\(directory): there is no sound checkpoint:\n" + rejected.map { "  \($0)" }.joined(separator: "\n")
        case let .absent(directory, step, present):
            "\(directory): there is no checkpoint of update \(step); there are "
                + (present.isEmpty ? "none" : present.map(String.init).joined(separator: ", "))
        case let .noneValidated(directory):
            "\(directory): no checkpoint has a validation loss, so that none is the best: choose latest or an update, and "
                + "have training.validate_every divide checkpoint.every"
        case let .incompatible(path, differences):
            "\(path): the checkpoint belongs to another configuration:\n"
                + differences.map { "  \($0)" }.joined(separator: "\n")
                + "\nRestore these values, or begin a new run with another --out"
        case let .notWritten(step, reasons):
            "the checkpoint of update \(step) was not written; the ones before it are untouched:\n"
                + reasons.prefix(3).map { "  \($0)" }.joined(separator: "\n")
                + (reasons.count > 3 ? "\n  and \(reasons.count - 3) more" : "")
        }
    }
}
