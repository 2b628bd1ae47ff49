import Files
import Foundation

/// What errors in reading a checkpoint's files say of it.
extension CheckpointError {
    /// Nil where the checkpoint may be sound: the system could not read it, and the next attempt, or another host, may.
    init?(damage error: any Error) {
        switch error {
        case let error as CheckpointError: self = error
        case let error as SafeTensors.FormatError:
            self = .damaged(path: error.path, reason: "not a sound safetensors file: \(error.reason)")
        case let error as FileError where [nil, ENOENT, ENOTDIR].contains(error.code):
            self = .damaged(path: error.path, reason: error.reason)
        default: return nil
        }
    }

    /// For lists of what is wrong with a checkpoint at `path`, where what cannot be read stands beside what is damaged.
    init(problem error: any Error, at path: String) {
        if let damage = CheckpointError(damage: error) {
            self = damage
        } else if let error = error as? FileError {
            self = .damaged(path: error.path, reason: error.reason)
        } else {
            self = .damaged(path: path, reason: "\(error)")
        }
    }
}
