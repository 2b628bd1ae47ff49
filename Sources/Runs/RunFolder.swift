import Checkpoints
import DataPipeline
import Files
import Foundation

/// The folder of a training run: `config.yaml`, `metrics.jsonl`, `events.out.tfevents.*`, `tokenizer.model`, `checkpoints/`,
/// and what commands found about it; while it runs `lock`, and `ranks/` with what each rank does.
public struct RunFolder: Sendable {
    public let path: String

    public var configuration: String { "\(path)/config.yaml" }
    public var metrics: String { "\(path)/metrics.jsonl" }
    public var tokenizer: String { "\(path)/tokenizer.model" }
    public var checkpoints: String { "\(path)/checkpoints" }
    /// The model that it began with, of train --from.
    public var beginning: String { "\(path)/from.json" }
    public var lock: String { "\(path)/lock" }
    public var ranks: String { "\(path)/ranks" }
    /// The newest scores of a split.
    public func evaluation(_ split: Split) -> String { "\(path)/evaluation-\(split.rawValue).json" }
    public var analysisFolder: String { "\(path)/analysis" }
    public var analysis: String { "\(analysisFolder)/analysis.json" }
    /// Whether it is what strata export wrote.
    public var isExport: Bool { FileManager.default.fileExists(atPath: "\(path)/config.json") }
    /// Whether it is what strata prepare wrote.
    public var isPreparedData: Bool { FileManager.default.fileExists(atPath: "\(path)/\(PreparationManifest.fileName)") }
    /// Whether a training has written here, be it no more than its configuration.
    ///
    /// - Throws: `FileError` if the folder of its checkpoints cannot be listed.
    public var isBegun: Bool {
        get throws {
            if [configuration, metrics].contains(where: FileManager.default.fileExists) { return true }
            do { return try !CheckpointStore.steps(checkpoints).isEmpty } catch let error as FileError
                where error.code == ENOTDIR
            {
                // No run is in a file: which part of the path is one, creating the folder says.
                return false
            }
        }
    }

    /// An existing run.
    ///
    /// - Throws: `RunError` if the folder is not one.
    public init(existing path: String) throws {
        self.path = path
        // An empty path would mean the root folder, or what is in it.
        guard !path.isEmpty else { throw RunError(.usage, "the run must name a folder, but is empty") }
        guard FileManager.default.fileExists(atPath: configuration) else {
            throw RunError(
                .usage,
                "\(path): must be the folder of a run, but has no config.yaml: give the folder that strata train --out named")
        }
    }

    /// An existing run that may have checkpoints.
    ///
    /// - Throws: `RunError` if the folder is not one, or is an export.
    public init(trained path: String) throws {
        try self.init(existing: path)
        guard !isExport else {
            throw RunError(
                .usage,
                "\(path): must be the folder of a run, but is an export, one model without checkpoints; "
                    + "give the run's folder")
        }
    }

    /// The folder of a new run, or of one to go on with.
    public init(path: String) { self.path = path }

    public func create() throws { try Folder.create(path) }

    /// Removes what was found out about a model that is no more: a training begins here.
    ///
    /// - Throws: `FileError`.
    public func removeFindings() throws {
        for path in Split.allCases.map(evaluation) + [analysisFolder] where FileManager.default.fileExists(atPath: path) {
            do { try FileManager.default.removeItem(atPath: path) } catch {
                throw FileError(path: path, reason: "removing failed: \(error.localizedDescription)")
            }
        }
    }

    /// - Throws: `FileError`.
    public func write(_ resolved: RunConfiguration, tokenizerModel: String) throws {
        try FileWriter.replace(configuration, with: resolved.yaml())
        try FileWriter.replace(tokenizer, with: FileReader(path: tokenizerModel).contents())
    }
}
