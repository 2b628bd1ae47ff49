import Foundation

/// A folder that is written under a temporary name and takes its final place by a rename.
///
/// A lock keeps a second preparation of the same folder out.
final class PreparationFolder {
    private static let lockName = "lock"

    let destination: String
    let partial: String
    private let replaced: String
    private let lock: Int32

    /// - Throws: `DataError` if the destination holds files that no preparation wrote, or another preparation is at work.
    init(destination: String) throws {
        self.destination = destination
        partial = destination + ".partial"
        replaced = destination + ".replaced"
        for path in [destination, partial, replaced] { try Self.checkReplaceable(path) }
        do {
            try FileManager.default.createDirectory(atPath: partial, withIntermediateDirectories: true)
        } catch {
            throw DataError(
                .inputOutput, "\(partial): must be writable, but creating it failed: \(error.localizedDescription)")
        }
        lock = open("\(partial)/\(Self.lockName)", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard lock >= 0 else {
            throw DataError(.inputOutput, "\(partial): must be writable, but is not: \(lastSystemError())")
        }
        // A file system without locks does not keep anyone from preparing alone.
        if flock(lock, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
            throw DataError(
                .inputOutput,
                "\(destination): must be prepared by one process at a time, but another one is at "
                    + "work: wait for it")
        }
    }

    /// Removes all that an interrupted preparation left but `files`.
    func clear(keeping files: Set<String>) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: partial)
        where name != Self.lockName && !files.contains(name) {
            try FileManager.default.removeItem(atPath: "\(partial)/\(name)")
        }
    }

    deinit { if lock >= 0 { close(lock) } }

    /// Puts the partial folder in the destination's place.
    func commit() throws {
        do {
            try? FileManager.default.removeItem(atPath: replaced)
            try FileManager.default.removeItem(atPath: "\(partial)/\(Self.lockName)")
            if FileManager.default.fileExists(atPath: destination) {
                try FileManager.default.moveItem(atPath: destination, toPath: replaced)
            }
            try FileManager.default.moveItem(atPath: partial, toPath: destination)
            try? FileManager.default.removeItem(atPath: replaced)
        } catch {
            throw DataError(
                .inputOutput,
                "\(destination): must be replaceable by \(partial), but renaming failed: "
                    + error.localizedDescription)
        }
    }

    /// Removes what was written, after a failure.
    func abandon() { try? FileManager.default.removeItem(atPath: partial) }

    /// Whatever is replaced is deleted: it may only be what a preparation wrote.
    private static func checkReplaceable(_ path: String) throws {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { return }
        guard isFolder.boolValue else {
            throw DataError(.configuration, "data.prepared must be a folder, but \(path) is a file")
        }
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: path)
        } catch {
            throw DataError(.inputOutput, "\(path): must be readable, but listing it failed: \(error.localizedDescription)")
        }
        let suffixes = [".tokens", ".offsets", ".text"]
        let strangers = names.filter { name in
            ![
                PreparationManifest.fileName, PreparationManifest.modelName, TrainedRuns.fileName, PreparationJournal.fileName,
                lockName,
            ].contains(name)
                && !suffixes.contains(where: name.hasSuffix)
        }
        if let stranger = strangers.sorted().first {
            throw DataError(
                .configuration,
                "data.prepared must be a new folder or one that strata prepare wrote, but \(path) has other files (\(stranger)): "
                    + "name another folder, or move them away")
        }
    }
}
