import Autograd
import Collectives
import Foundation
import TensorCore

/// The checkpoints of a run: `checkpoints/step-00001000/` with the shards that the ranks own and a manifest.
///
/// A checkpoint is written under a temporary name, synced, and committed by one rename once every rank has reported success;
/// then `latest` is swapped. Whatever interrupts it leaves the checkpoints before it as they were.
public final class CheckpointStore {
    public let directory: String
    private let groups: ParallelGroups
    private let keep: Int
    private let identity: [String: String]

    public init(directory: String, groups: ParallelGroups, keep: Int, identity: [String: String]) {
        precondition(keep >= 1)
        self.directory = directory
        self.groups = groups
        self.keep = keep
        self.identity = identity
    }

    /// Writes and commits the state after update `step`; returns the checkpoint's folder. Every rank calls it.
    @discardableResult
    public func save(step: Int, seed: UInt64, store: ParameterStore, optimizer: Adam) throws -> String {
        let folder = Self.folder(step), partial = "\(directory)/\(folder).partial", final = "\(directory)/\(folder)"
        let isFirst = groups.world.rank == 0
        try agree(step) { if isFirst { try Self.makeEmptyFolder(partial) } }
        var record: FileRecord?
        try agree(step) { record = try writeShard(store, optimizer, to: partial) }
        let records = try gather(record)
        try agree(step) {
            guard isFirst else { return }
            let manifest = CheckpointManifest(
                step: step, seed: seed, ranks: groups.world.size, expertParallel: groups.layout.expertParallel,
                identity: identity, files: records)
            let writer = try FileWriter(path: "\(partial)/\(CheckpointManifest.fileName)")
            try manifest.encoded().withUnsafeBytes { try writer.write($0) }
            _ = try writer.finish()
            try Self.sync(folder: partial)
            try Self.commit(partial, as: final)
            try Self.sync(folder: directory)
            try Self.point(directory, to: folder)
        }
        if isFirst { Self.prune(directory, keep: keep, newest: step) }
        return final
    }

    /// Runs one rank's part; throws the same on every rank if it failed on any, so that they stay in step.
    private func agree(_ step: Int, _ body: () throws -> Void) throws {
        var reason = ""
        do { try body() } catch { reason = "rank \(groups.world.rank): \(error)" }
        let reasons = try groups.world.allGather(varying: [UInt8](reason.utf8)).filter { !$0.isEmpty }
        guard reasons.isEmpty else {
            throw CheckpointError.notWritten(step: step, reasons: reasons.map { String(decoding: $0, as: UTF8.self) })
        }
    }

    /// Writes what this rank owns: a share of the dense parameters, and its experts if it is the first replica. Moments stand
    /// beside the parameters.
    private func writeShard(_ store: ParameterStore, _ optimizer: Adam, to folder: String) throws -> FileRecord? {
        var items: [SafeTensorsWriter.Item] = []
        func add(_ location: ParameterStore.Location) {
            let section = store.section(location.placement), moments = optimizer.moments(location.placement)
            let tensors = [("", section.values), ("adam.m.", moments.first), ("adam.v.", moments.second)]
            for (prefix, tensor) in tensors {
                items.append(.init(
                    name: prefix + location.slice.name, shape: location.slice.shape,
                    values: UnsafeBufferPointer(rebasing: tensor.buffer[location.range])))
            }
        }
        let dense = store.locations(.replicated), total = store.section(.replicated).values.count
        for location in dense where location.range.lowerBound * groups.world.size / max(total, 1) == groups.world.rank {
            add(location)
        }
        if groups.replica == 0 { store.locations(.expert).forEach(add) }
        guard !items.isEmpty else { return nil }
        let digits = String(groups.world.rank)
        let name = "shard-\(String(repeating: "0", count: max(0, 5 - digits.count)))\(digits).safetensors"
        let writer = try FileWriter(path: "\(folder)/\(name)")
        try SafeTensorsWriter.write(items) { try writer.write($0) }
        return try writer.finish()
    }

    /// Every rank's record, on every rank.
    private func gather(_ record: FileRecord?) throws -> [FileRecord] {
        let encoded = try record.map { try JSONEncoder().encode($0) } ?? Data()
        return try groups.world.allGather(varying: [UInt8](encoded)).filter { !$0.isEmpty }
            .map { try JSONDecoder().decode(FileRecord.self, from: Data($0)) }
    }

    private static func commit(_ partial: String, as final: String) throws {
        // There is one already only if it was found damaged, and training came past it again.
        let replaced = "\(final).replaced"
        try? FileManager.default.removeItem(atPath: replaced)
        if FileManager.default.fileExists(atPath: final) {
            guard rename(final, replaced) == 0 else { throw FileError(path: final, while: "renaming") }
        }
        guard rename(partial, final) == 0 else { throw FileError(path: final, while: "renaming \(partial)") }
        try? FileManager.default.removeItem(atPath: replaced)
    }

    private static func makeEmptyFolder(_ path: String) throws {
        if FileManager.default.fileExists(atPath: path) {
            do { try FileManager.default.removeItem(atPath: path) } catch {
                throw FileError(path: path, reason: "removing failed: \(error.localizedDescription)")
            }
        }
        try Folder.create(path)
    }

    private static func sync(folder: String) throws {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError(path: folder, while: "opening") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw FileError(path: folder, while: "writing") }
    }

    private static func point(_ directory: String, to folder: String) throws {
        let path = "\(directory)/latest", temporary = "\(directory)/latest.partial"
        let writer = try FileWriter(path: temporary)
        try writer.write("\(folder)\n")
        _ = try writer.finish()
        guard rename(temporary, path) == 0 else { throw FileError(path: path, while: "renaming") }
        try sync(folder: directory)
    }

    /// Removes what an interrupted save has left, and all but the `keep` newest checkpoints up to `newest`. Later ones are
    /// those that were found damaged when the run was resumed before them: they do not count.
    private static func prune(_ directory: String, keep: Int, newest: Int) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        let unfinished = names.filter { $0.hasPrefix("step-") && ($0.hasSuffix(".partial") || $0.hasSuffix(".replaced")) }
        let old = steps(directory).filter { $0 <= newest }.dropLast(keep).map(folder)
        // What cannot be removed is no reason to stop training.
        for name in unfinished + old { try? FileManager.default.removeItem(atPath: "\(directory)/\(name)") }
    }
}

extension CheckpointStore {
    static func folder(_ step: Int) -> String {
        let digits = String(step)
        return "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }

    /// The committed checkpoints' updates, ascending.
    public static func steps(_ directory: String) -> [Int] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.filter { $0.hasPrefix("step-") }.compactMap { Int($0.dropFirst("step-".count)) }.sorted()
    }

    /// Opens the newest sound checkpoint. `report` is told of every damaged one that was passed over.
    ///
    /// - Throws: `CheckpointError.none` if there is no sound one.
    public static func openNewest(_ directory: String, report: (CheckpointError) -> Void = { _ in }) throws -> CheckpointReader {
        var rejected: [String] = []
        for step in steps(directory).reversed() {
            do {
                return try CheckpointReader(path: "\(directory)/\(folder(step))")
            } catch let error as CheckpointError {
                report(error)
                rejected.append(error.description)
            }
        }
        throw CheckpointError.none(directory: directory, rejected: rejected)
    }

    /// As above, agreed on by all ranks: the first verifies, the others open what it chose.
    public func openNewest(report: (CheckpointError) -> Void) throws -> CheckpointReader {
        var reader: CheckpointReader?
        var failure: (any Error)?
        if groups.world.rank == 0 {
            do { reader = try Self.openNewest(directory, report: report) } catch { failure = error }
        }
        let step = try groups.world.broadcast(Int64(reader?.manifest.step ?? -1), root: 0)
        if let failure { throw failure }
        guard step >= 0 else { throw CheckpointError.none(directory: directory, rejected: []) }
        let opened = try reader ?? CheckpointReader(path: "\(directory)/\(Self.folder(Int(step)))", verify: false)
        try opened.requireIdentity(identity)
        return opened
    }
}
