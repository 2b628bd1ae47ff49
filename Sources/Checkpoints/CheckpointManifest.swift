import Files
import Foundation
import MixtureOfExperts
import Training

/// `manifest.json` of a checkpoint: what it is of, and every file with size and checksum. It is written last, and its own
/// checksum covers all the rest of it.
public struct CheckpointManifest: Codable, Equatable, Sendable {
    public static let fileName = "manifest.json"
    public static let currentVersion = 2
    /// Version 1 knew no pieces of tensors and no validation loss; it is read like 2.
    static let readableVersions = 1...currentVersion
    /// A record takes some hundred bytes, and there is one a rank.
    private static let mostBytes = 64 << 20

    public var formatVersion = currentVersion
    /// Updates done. With the seed, it is the position of the sampler and of all random draws.
    public var step: Int
    /// Updates that were not skipped, which is how often the moments were moved; nil: all.
    public var applied: Int?
    /// Updates before the run's first that had moved the moments which it began with; nil: it began with none.
    public var earlierUpdates: Int?
    public var seed: UInt64
    public var ranks: Int
    public var expertParallel: Int
    /// The validation loss of this very update; nil if it was not validated, or the loss was not finite.
    public var validationLoss: Double?
    /// How the validations so far went; nil unless the run ends for want of a better one.
    public var patience: Patience?

    /// The experts of each block that exist, and what is recorded of them; nil where they neither come nor go.
    public var pools: [ExpertPool]?

    /// The experts of each block of which every rank is to have a copy; nil: none. No bit of a training depends on it.
    public var replicated: [String: [Int]]?

    /// The best validation, and the validations since.
    public struct Patience: Codable, Equatable, Sendable {
        /// `training.patience_metric`; nil: loss.
        public private(set) var metric: String?
        public var best: Double?
        public var since = 0

        public init(_ metric: PatienceMetric) { self.metric = metric == .loss ? nil : metric.rawValue }

        /// Whether it is of validations compared by this metric.
        public func isOf(_ metric: PatienceMetric) -> Bool { self.metric ?? PatienceMetric.loss.rawValue == metric.rawValue }

        /// Takes in the next validation's value.
        public mutating func add(_ value: Double) {
            let isLossBased = isOf(.loss)
            if value.isFinite, best.map({ isLossBased ? value < $0 : value > $0 }) ?? true {
                (best, since) = (value, 0)
            } else {
                since += 1
            }
        }
    }

    /// What the parameters' shapes and the data's meaning depend on, by name: a checkpoint is loaded only where all agree.
    public var identity: [String: String]
    public var files: [FileRecord]
    private var checksum = ""

    public init(
        step: Int, applied: Int? = nil, seed: UInt64, ranks: Int, expertParallel: Int, validationLoss: Double?,
        identity: [String: String], files: [FileRecord]
    ) {
        self.step = step
        self.applied = applied == step ? nil : applied
        self.seed = seed
        self.ranks = ranks
        self.expertParallel = expertParallel
        self.validationLoss = validationLoss.flatMap { $0.isFinite ? $0 : nil }
        self.identity = identity
        self.files = files
    }

    /// Numbers of updates that a file may tell: more than anybody does, and so few that sums of them are numbers.
    public static let updates = 0...1 << 40

    /// Updates that have moved the moments, those included that did so before the run.
    public var momentUpdates: Int { (earlierUpdates ?? 0) + (applied ?? step) }

    /// - Throws: `CheckpointError.damaged`; `FileError` if it cannot be read, and may be sound.
    public init(folder: String) throws {
        let path = "\(folder)/\(Self.fileName)"
        func damaged(_ reason: String) -> CheckpointError { .damaged(path: path, reason: reason) }
        let data: Data
        do {
            let file = try FileReader(path: path)
            guard file.size <= Self.mostBytes else { throw damaged("the manifest is not what was written") }
            data = try file.contents()
        } catch let error as FileError where CheckpointError(damage: error) != nil {
            throw damaged("the manifest is missing or not whole: \(error.reason)")
        }
        guard let manifest = try? JSONDecoder().decode(Self.self, from: data), (try? manifest.encoded()) == data else {
            throw damaged("the manifest is not what was written")
        }
        guard Self.readableVersions.contains(manifest.formatVersion) else {
            throw damaged("the format version must be at most \(Self.currentVersion), but is \(manifest.formatVersion)")
        }
        if let applied = manifest.applied, applied < 0 || applied > manifest.step {
            throw damaged("applied must be at most the step, \(manifest.step), but is \(applied)")
        }
        if let earlier = manifest.earlierUpdates, !Self.updates.contains(earlier) {
            throw damaged("earlierUpdates must be a number of updates, but is \(earlier)")
        }
        if let since = manifest.patience?.since, since < 0 || since > manifest.step {
            throw damaged("patience.since must be at most the step, \(manifest.step), but is \(since)")
        }
        // Names lead to nothing outside the folder.
        guard manifest.files.allSatisfy({ !$0.name.utf8.contains(UInt8(ascii: "/")) && !$0.name.utf8.contains(0) }) else {
            throw damaged("the manifest must list names of files in its folder")
        }
        self = manifest
    }

    /// The file's content, checksum included: the same bytes for the same manifest.
    package func encoded() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        var sealed = self
        sealed.checksum = ""
        sealed.checksum = Checksum.text(of: try encoder.encode(sealed))
        return try encoder.encode(sealed)
    }
}
