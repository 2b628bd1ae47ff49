import Checkpoints
import DataPipeline
import Files
import Foundation
import Runs

/// The folder of a training run: `config.yaml`, `metrics.jsonl`, `events.out.tfevents.*`, `tokenizer.model`, `checkpoints/`,
/// and what commands found about it; while it runs `lock`, and `ranks/` with what each rank does.
struct RunFolder {
    let path: String

    var configuration: String { "\(path)/config.yaml" }
    var metrics: String { "\(path)/metrics.jsonl" }
    var tokenizer: String { "\(path)/tokenizer.model" }
    var checkpoints: String { "\(path)/checkpoints" }
    var lock: String { "\(path)/lock" }
    var ranks: String { "\(path)/ranks" }
    /// The newest scores of a split.
    func evaluation(_ split: Split) -> String { "\(path)/evaluation-\(split.rawValue).json" }
    var analysisFolder: String { "\(path)/analysis" }
    var analysis: String { "\(analysisFolder)/analysis.json" }
    /// Whether it is what strata export wrote.
    var isExport: Bool { FileManager.default.fileExists(atPath: "\(path)/config.json") }
    /// Whether it is what strata prepare wrote.
    var isPreparedData: Bool { FileManager.default.fileExists(atPath: "\(path)/\(PreparationManifest.fileName)") }
    /// Whether a training has written here, be it no more than its configuration.
    ///
    /// - Throws: `FileError` if the folder of its checkpoints cannot be listed.
    var isBegun: Bool {
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
    /// - Throws: `CommandFailure` if the folder is not one.
    init(existing path: String) throws {
        self.path = path
        try requirePath(path, of: "the run")
        guard FileManager.default.fileExists(atPath: configuration) else {
            throw CommandFailure(
                .usage,
                "\(path): must be the folder of a run, but has no config.yaml: give the folder that strata train --out named")
        }
    }

    /// An existing run that may have checkpoints.
    ///
    /// - Throws: `CommandFailure` if the folder is not one, or is an export.
    init(trained path: String) throws {
        try self.init(existing: path)
        guard !isExport else {
            throw CommandFailure(
                .usage,
                "\(path): must be the folder of a run, but is an export, one model without checkpoints; "
                    + "give the run's folder")
        }
    }

    /// The folder of a new run, or of one to go on with.
    init(path: String) { self.path = path }

    func create() throws { try Folder.create(path) }

    /// Removes what was found out about a model that is no more: a training begins here.
    ///
    /// - Throws: `FileError`.
    func removeFindings() throws {
        for path in Split.allCases.map(evaluation) + [analysisFolder] where FileManager.default.fileExists(atPath: path) {
            do { try FileManager.default.removeItem(atPath: path) } catch {
                throw FileError(path: path, reason: "removing failed: \(error.localizedDescription)")
            }
        }
    }

    /// - Throws: `FileError`.
    func write(_ resolved: RunConfiguration, tokenizerModel: String) throws {
        try FileWriter.replace(configuration, with: resolved.yaml())
        try FileWriter.replace(tokenizer, with: FileReader(path: tokenizerModel).contents())
    }
}
