import Files
import Foundation

/// Which of a run's checkpoints is meant.
public enum CheckpointChoice: Equatable, Sendable {
    case latest
    /// The checkpoint of the lowest validation loss.
    case best
    case step(Int)
}

/// The checkpoints that are in a folder.
extension CheckpointStore {
    static func folder(_ step: Int) -> String { "step-\(String(UInt(step), digits: 8))" }

    /// The folder of an update's checkpoint, once committed.
    public static func path(_ directory: String, _ step: Int) -> String { "\(directory)/\(folder(step))" }

    /// The committed checkpoints' updates, ascending; none where there is no such folder.
    ///
    /// - Throws: `FileError` if the folder cannot be listed. That must not be taken for a folder without checkpoints: a run would
    ///   begin anew where it should go on.
    public static func steps(_ directory: String) throws -> [Int] {
        let names: [String]
        do { names = try Folder.names(directory) } catch let error as FileError where error.code == ENOENT { return [] }
        return names.compactMap { name in
            Int(name.dropFirst("step-".count)).flatMap { $0 >= 0 && folder($0) == name ? $0 : nil }
        }.sorted()
    }

    /// Opens a checkpoint, verified. Of the latest and of the best, a damaged one is passed over for the next, and `report` is
    /// told of it; a step is opened or refused.
    ///
    /// - Throws: `CheckpointError.none` if there is no sound one of that kind; `FileError` where something cannot be read.
    public static func open(
        _ directory: String, _ choice: CheckpointChoice = .latest, report: (CheckpointError) -> Void = { _ in }
    ) throws -> CheckpointReader {
        let steps = try steps(directory)
        var rejected: [String] = []
        func reject(_ error: CheckpointError) {
            report(error)
            rejected.append(error.description)
        }
        let candidates: [Int]
        switch choice {
        case .latest: candidates = steps.reversed()
        case .best:
            let summaries = try CheckpointSummary.all(directory)
            // How good those are whose manifests cannot be read nobody knows.
            for case let problem? in summaries.filter({ $0.manifest == nil }).map(\.problem) { reject(problem) }
            candidates = CheckpointRetention.bestFirst(
                Dictionary(uniqueKeysWithValues: summaries.map { ($0.step, $0.manifest?.validationLoss) }))
        case let .step(step):
            guard steps.contains(step) else { throw CheckpointError.absent(directory: directory, step: step, present: steps) }
            return try open(directory, step)
        }
        for step in candidates {
            do { return try open(directory, step) } catch let error as CheckpointError { reject(error) }
        }
        if choice == .best, rejected.isEmpty, !steps.isEmpty { throw CheckpointError.noneValidated(directory: directory) }
        throw CheckpointError.none(directory: directory, rejected: rejected)
    }

    private static func open(_ directory: String, _ step: Int) throws -> CheckpointReader {
        let reader = try CheckpointReader(path: path(directory, step))
        try reader.requireStep(step)
        return reader
    }
}
