import Autograd
import Files

/// A committed checkpoint, verified and open: any rank of any world reads from it what it needs, in bounded memory.
public final class CheckpointReader {
    public let path: String
    public let manifest: CheckpointManifest
    public let tensors: TensorCatalog

    /// Opens a checkpoint; `verify` compares every file's size and checksum first. `keepingOpen` has what is open stay readable
    /// when a training removes the checkpoint, as far as `SafeTensorsFile.keepOpen` allows.
    ///
    /// - Throws: `CheckpointError.damaged` naming the file; `FileError` where one cannot be read, and may be sound.
    public convenience init(path: String, verify: Bool = true, keepingOpen: Bool = false) throws {
        try self.init(path: path, verify: verify ? .all : .none, keepingOpen: keepingOpen) { throw $0 }
    }

    /// As one of `ranks` that share out the checksums between them; the sizes of all files are compared by each.
    convenience init(path: String, verifyingAs rank: Int, of ranks: Int) throws {
        try self.init(path: path, verify: .share(rank: rank, ranks: ranks)) { throw $0 }
    }

    /// Which files are compared with the manifest.
    private enum Verification {
        case all, none
        case share(rank: Int, ranks: Int)

        func verify(_ path: String, _ index: Int, _ record: FileRecord) throws {
            if case .none = self { return }
            try CheckpointReader.verifySize(path, record)
            if case let .share(rank, ranks) = self, index % ranks != rank { return }
            let checksum = try Checksum.text(ofFile: path)
            guard checksum == record.checksum else {
                throw CheckpointError.damaged(path: path, reason: "its checksum must be \(record.checksum), but is \(checksum)")
            }
        }
    }

    /// Everything that is wrong with the checkpoint of an update, files that its manifest does not list included.
    public static func problems(_ directory: String, _ step: Int) -> [CheckpointError] {
        let path = CheckpointStore.path(directory, step)
        var found: [CheckpointError] = []
        do {
            let reader = try CheckpointReader(path: path, verify: .all) { found.append(CheckpointError(problem: $0, at: path)) }
            do { try reader.requireStep(step) } catch let error as CheckpointError { found.append(error) }
            let names = try Folder.names(path)
            let listed = Set(reader.manifest.files.map(\.name) + [CheckpointManifest.fileName])
            for name in names.sorted() where !listed.contains(name) {
                found.append(.damaged(path: "\(path)/\(name)", reason: "the manifest does not list it"))
            }
        } catch {
            found.append(CheckpointError(problem: error, at: path))
        }
        return found
    }

    /// `report` is told of every problem but those of the manifest, and may throw what it is told.
    private init(
        path: String, verify: Verification, keepingOpen: Bool = false, report: (any Error) throws -> Void
    ) throws {
        self.path = path
        manifest = try CheckpointManifest(folder: path)
        var files: [SafeTensorsFile] = []
        for (index, record) in manifest.files.enumerated() {
            let name = "\(path)/\(record.name)"
            do {
                try verify.verify(name, index, record)
                files.append(try SafeTensorsFile(path: name, keepingOpen: keepingOpen))
            } catch {
                try report(CheckpointError(damage: error) ?? error)
            }
        }
        // Of what tensors lack because a file could not be read nothing more is said.
        let areAllRead = files.count == manifest.files.count
        tensors = try TensorCatalog(files) { if areAllRead { try report($0) } }
    }

    static func verifySize(_ path: String, _ record: FileRecord) throws {
        let size: Int
        do { size = try FileReader(path: path).size } catch { throw CheckpointError(damage: error) ?? error }
        guard size == record.size else {
            throw CheckpointError.damaged(path: path, reason: "it must have \(record.size) bytes, but has \(size)")
        }
    }

    /// - Throws: `CheckpointError.damaged` unless it is of that update, as its folder's name says.
    func requireStep(_ step: Int) throws {
        guard manifest.step == step else {
            throw CheckpointError.damaged(
                path: path, reason: "its manifest must be of update \(step), but is of \(manifest.step)")
        }
    }

    /// - Throws: `CheckpointError.incompatible` unless the checkpoint was made under the same identity.
    public func requireIdentity(_ expected: [String: String]) throws {
        let differences = Set(expected.keys).union(manifest.identity.keys).sorted().compactMap { key -> String? in
            let (was, now) = (manifest.identity[key], expected[key])
            return was == now ? nil : "\(key) was \(was ?? "absent"), but is \(now ?? "absent")"
        }
        guard differences.isEmpty else { throw CheckpointError.incompatible(path: path, differences: differences) }
    }

    /// Whether it has a moving average of the parameters.
    public var hasAverage: Bool { tensors.names.contains { $0.hasPrefix("average.") } }

    /// Reads the parameters of a store.
    public func load(into store: ParameterStore) throws { try tensors.load(into: store, path: path) }

    /// Reads the parameters of a rank, and of moments and averages the elements that it covers, however they were spread when
    /// saved. An average that the checkpoint does not have begins at its parameters.
    public func load(into state: RankState) throws {
        try load(into: state.store)
        let averages = Set(tensors.names.filter { $0.hasPrefix("average.") }.map { String($0.dropFirst("average.".count)) })
        for placement in ParameterPlacement.allCases {
            let moments = state.moments[placement]
            for location in state.store.locations(placement) {
                let held = location.range.clamped(to: moments.elements), start = location.range.lowerBound
                guard !held.isEmpty else { continue }
                let kept = [("adam.m.", moments.first), ("adam.v.", moments.second)]
                let average = moments.average.map { (averages.contains(location.slice.name) ? "average." : "", $0) }
                for (prefix, tensor) in kept + [average].compactMap(\.self) {
                    try tensors.load(
                        prefix + location.slice.name, location.slice.shape,
                        elements: held.lowerBound - start..<held.upperBound - start,
                        into: tensor.pointer + (held.lowerBound - moments.elements.lowerBound), path: path)
                }
            }
        }
    }
}
