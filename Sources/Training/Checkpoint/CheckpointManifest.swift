import Foundation
import TensorCore

/// `manifest.json` of a checkpoint: what it is of, and every file with size and checksum. It is written last, and its own
/// checksum covers all the rest of it.
public struct CheckpointManifest: Codable, Equatable, Sendable {
    public static let fileName = "manifest.json"
    public static let currentVersion = 1

    public var formatVersion = currentVersion
    /// Updates done. With the seed, it is the position of the sampler and of all random draws.
    public var step: Int
    public var seed: UInt64
    public var ranks: Int
    public var expertParallel: Int
    /// What the parameters' shapes and the data's meaning depend on, by name: a checkpoint is loaded only where all agree.
    public var identity: [String: String]
    public var files: [FileRecord]
    private var checksum = ""

    public init(
        step: Int, seed: UInt64, ranks: Int, expertParallel: Int, identity: [String: String], files: [FileRecord]
    ) {
        self.step = step
        self.seed = seed
        self.ranks = ranks
        self.expertParallel = expertParallel
        self.identity = identity
        self.files = files
    }

    /// - Throws: `CheckpointError.damaged`.
    public init(folder: String) throws {
        let path = "\(folder)/\(Self.fileName)"
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CheckpointError.damaged(path: path, reason: "the manifest is missing")
        }
        guard let manifest = try? JSONDecoder().decode(Self.self, from: data), try manifest.encoded() == data else {
            throw CheckpointError.damaged(path: path, reason: "the manifest is not what was written")
        }
        guard manifest.formatVersion == Self.currentVersion else {
            throw CheckpointError.damaged(
                path: path, reason: "the format version must be \(Self.currentVersion), but is \(manifest.formatVersion)")
        }
        self = manifest
    }

    /// The file's content, checksum included: the same bytes for the same manifest.
    func encoded() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        var sealed = self
        sealed.checksum = ""
        sealed.checksum = Checksum.text(of: try encoder.encode(sealed))
        return try encoder.encode(sealed)
    }
}
