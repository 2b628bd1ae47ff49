import Foundation
import TensorCore

/// Which of a run's checkpoints is meant.
public enum CheckpointChoice: Equatable, Sendable {
    case latest
    /// That of the lowest validation loss.
    case best
    case step(Int)
}

/// The checkpoints that are in a folder.
extension CheckpointStore {
    static func folder(_ step: Int) -> String {
        let digits = String(step)
        return "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }

    /// Where the checkpoint of an update is, once committed.
    public static func path(_ directory: String, _ step: Int) -> String { "\(directory)/\(folder(step))" }

    /// The committed checkpoints' updates, ascending.
    public static func steps(_ directory: String) -> [Int] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.compactMap { name in
            Int(name.dropFirst("step-".count)).flatMap { $0 >= 0 && folder($0) == name ? $0 : nil }
        }.sorted()
    }

    /// Every committed checkpoint's validation loss, by its manifest; nil where it has none, or the manifest is damaged.
    static func validationLosses(_ directory: String) -> [Int: Double?] {
        Dictionary(uniqueKeysWithValues: steps(directory).map { step in
            (step, (try? CheckpointManifest(folder: path(directory, step)))?.validationLoss)
        })
    }

    /// Opens a checkpoint, verified. Of the latest and of the best, a damaged one is passed over for the next, and `report` is
    /// told of it; a step is opened or refused.
    ///
    /// - Throws: `CheckpointError.none` if there is no sound one of that kind.
    public static func open(
        _ directory: String, _ choice: CheckpointChoice = .latest, report: (CheckpointError) -> Void = { _ in }
    ) throws -> CheckpointReader {
        let steps = steps(directory)
        var rejected: [String] = []
        let candidates: [Int]
        switch choice {
        case .latest: candidates = steps.reversed()
        case .best: candidates = CheckpointRetention.bestFirst(validationLosses(directory))
        case let .step(step):
            guard steps.contains(step) else { throw CheckpointError.absent(directory: directory, step: step, present: steps) }
            return try open(directory, step)
        }
        for step in candidates {
            do { return try open(directory, step) } catch let error as CheckpointError {
                report(error)
                rejected.append(error.description)
            }
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
