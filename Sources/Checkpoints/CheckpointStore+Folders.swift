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
    /// told of it; a step is opened or refused. A training may remove checkpoints meanwhile: what vanishes while it is opened does
    /// not count, and the folder is listed again; what is open stays readable.
    ///
    /// - Throws: `CheckpointError.none` if there is no sound one of that kind; `FileError` where something cannot be read.
    public static func open(
        _ directory: String, _ choice: CheckpointChoice = .latest, report: (CheckpointError) -> Void = { _ in }
    ) throws -> CheckpointReader {
        // A damaged one is said once, however often the folder is listed.
        var said: Set<String> = []
        func reportOnce(_ error: CheckpointError) { if said.insert("\(error)").inserted { report(error) } }
        for _ in 0..<mostListings {
            do { return try openListed(directory, choice, reportOnce) } catch is Vanished {}
        }
        throw CheckpointError.none(
            directory: directory, rejected: ["checkpoints are removed faster than they can be read: try again"])
    }

    /// So often a folder that a training changes is listed again.
    static let mostListings = 100

    /// A checkpoint that was listed is there no more.
    private struct Vanished: Error {}

    private static func openListed(
        _ directory: String, _ choice: CheckpointChoice, _ report: (CheckpointError) -> Void
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
        do {
            let reader = try CheckpointReader(path: path(directory, step), keepingOpen: true)
            try reader.requireStep(step)
            return reader
        } catch  where !isPresent(directory, step) {
            throw Vanished()
        }
    }

    /// Whether the checkpoint of an update, which was listed, is still there.
    public static func isPresent(_ directory: String, _ step: Int) -> Bool {
        FileManager.default.fileExists(atPath: path(directory, step))
    }
}
