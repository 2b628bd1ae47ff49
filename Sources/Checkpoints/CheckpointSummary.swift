import Foundation

/// A checkpoint as a list of them shows it: by its manifest and the sizes of its files, without reading these.
public struct CheckpointSummary {
    public let step: Int
    public let path: String
    /// The manifest; nil if it is damaged.
    public let manifest: CheckpointManifest?
    /// When it was committed.
    public let date: Date?
    /// Bytes of all files, by the manifest.
    public let bytes: Int
    /// Why it cannot be loaded, as far as sizes show it.
    public let problem: CheckpointError?

    init(directory: String, step: Int) {
        self.step = step
        path = CheckpointStore.path(directory, step)
        let attributes = try? FileManager.default.attributesOfItem(atPath: "\(path)/\(CheckpointManifest.fileName)")
        date = attributes?[.modificationDate] as? Date
        var problem: CheckpointError?, manifest: CheckpointManifest?
        do {
            manifest = try CheckpointManifest(folder: path)
            for record in manifest?.files ?? [] { try CheckpointReader.verifySize("\(path)/\(record.name)", record) }
        } catch {
            problem = CheckpointError(problem: error, at: path)
        }
        self.manifest = manifest
        self.problem = problem
        bytes = manifest?.files.reduce(0) { $0 + $1.size } ?? 0
    }

    /// The summaries of all committed checkpoints in a folder, by step. Where a training removes one meanwhile, the folder is
    /// listed again.
    ///
    /// - Throws: `FileError` if the folder cannot be listed.
    public static func all(_ directory: String) throws -> [CheckpointSummary] {
        var summaries: [CheckpointSummary] = []
        for _ in 0..<CheckpointStore.mostListings {
            summaries = try CheckpointStore.steps(directory).map { CheckpointSummary(directory: directory, step: $0) }
            if !summaries.contains(where: { $0.hasVanished(from: directory) }) { break }
        }
        return summaries.filter { !$0.hasVanished(from: directory) }
    }

    private func hasVanished(from directory: String) -> Bool {
        problem != nil && !CheckpointStore.isPresent(directory, step)
    }
}

extension [CheckpointSummary] {
    /// The validation losses of those that show no problem, by step.
    public var losses: [Int: Double?] {
        Dictionary(uniqueKeysWithValues: filter { $0.problem == nil }.map { ($0.step, $0.manifest?.validationLoss) })
    }
}
