import Files
import Foundation

/// A checkpoint's way to its final name, by the first rank.
extension CheckpointStore {
    /// The folder that the checkpoint of an update is written to until it is whole.
    static func partial(_ directory: String, _ step: Int) -> String { "\(directory)/\(folder(step)).partial" }

    static func shardName(_ rank: Int) -> String { "shard-\(String(UInt(rank), digits: 5)).safetensors" }

    /// Writes the manifest beside the shards, and renames the folder: from then on it is a checkpoint.
    ///
    /// - Throws: `FileError`; the checkpoints before it, and `latest`, are then as they were.
    static func commit(_ directory: String, _ manifest: CheckpointManifest) throws {
        let name = folder(manifest.step), partial = partial(directory, manifest.step), final = "\(directory)/\(name)"
        try FileWriter.write(manifest.encoded(), to: "\(partial)/\(CheckpointManifest.fileName)")
        // What needs space is written before the commit; after it, names alone change.
        try FileWriter.write("\(name)\n", to: unfinishedLatest(directory))
        try Folder.sync(partial)
        // There is one already only if it was found damaged, and training came past it again.
        let replaced = "\(final).replaced"
        try? FileManager.default.removeItem(atPath: replaced)
        if FileManager.default.fileExists(atPath: final) { try Folder.rename(final, to: replaced) }
        try Folder.rename(partial, to: final)
        try Folder.sync(directory)
        try Folder.rename(unfinishedLatest(directory), to: "\(directory)/latest")
        try Folder.sync(directory)
        try? FileManager.default.removeItem(atPath: replaced)
    }

    /// Removes what a save that failed has left.
    static func discard(_ directory: String, _ step: Int) {
        for path in [partial(directory, step), unfinishedLatest(directory)] {
            try? FileManager.default.removeItem(atPath: path)
        }
    }

    /// Removes what interrupted saves have left, and of the checkpoints up to `newest` those that need not stay. Later ones are
    /// those that were found damaged when the run was resumed before them: they do not count, and neither do others that show
    /// damage. These stay: another is not to go in their place, and somebody may want to look at them.
    static func prune(_ directory: String, _ retention: CheckpointRetention, newest: Int) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        let unfinished = names.filter { name in
            name.hasPrefix("step-") && [".partial", ".replaced", removedSuffix].contains(where: name.hasSuffix)
        }
        let losses = ((try? CheckpointSummary.all(directory)) ?? []).losses.filter { $0.key <= newest }
        // What cannot be removed is no reason to stop training.
        for step in retention.expendable(losses) { try? remove(directory, step) }
        for name in unfinished { try? FileManager.default.removeItem(atPath: "\(directory)/\(name)") }
    }

    private static let removedSuffix = ".removed"

    /// Removes a checkpoint, which another process may be reading: from one moment to the next there is no such checkpoint, and
    /// never a part of one.
    ///
    /// - Throws: `FileError`; none where it is gone already.
    public static func remove(_ directory: String, _ step: Int) throws {
        let path = path(directory, step), removed = path + removedSuffix
        do { try Folder.rename(path, to: removed) } catch let error as FileError where error.code == ENOENT { return }
        do { try FileManager.default.removeItem(atPath: removed) } catch {
            throw FileError(path: path, reason: "removing failed: \(error.localizedDescription)")
        }
    }

    private static func unfinishedLatest(_ directory: String) -> String { "\(directory)/latest.partial" }
}
