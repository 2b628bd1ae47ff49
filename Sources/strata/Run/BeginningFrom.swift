import Checkpoints
import Files
import Foundation
import ModelSurgery
import Runs

/// The model that a run begins with: what `train --from` names, which the run's folder keeps, so that a run that is resumed before its
/// first checkpoint begins with it again.
struct BeginningFrom: Codable {
    /// The run or export, as an absolute path.
    private let from: String
    /// The update of its model; nil where it is not known yet.
    private let update: Int?
    private let isExport: Bool?
    /// Whether it begins with the optimizer's moments too; nil: no.
    private let moments: Bool?
    var takesMoments: Bool { moments ?? false }

    /// What is given; `recorded` is what the run began with before, if it did.
    ///
    /// - Throws: `CommandFailure` if that is another.
    init(_ from: String, moments: Bool, as recorded: BeginningFrom?) throws {
        let path = URL(fileURLWithPath: from).standardizedFileURL.path
        if let recorded, recorded.from != path || recorded.takesMoments != moments {
            throw CommandFailure(
                .usage,
                "from.json: the run began with update \(recorded.update ?? 0) of \(recorded.from)"
                    + (recorded.takesMoments ? " and its moments" : "") + ", but --from is \(from)"
                    + (moments ? " --moments" : "")
                    + ": leave --from out to begin with that again, or begin a run in another folder")
        }
        (self.from, update, isExport) = (path, recorded?.update, recorded?.isExport)
        self.moments = moments ? true : nil
    }

    init(_ beginning: BeginningFrom, _ model: StoredModel) {
        (from, update, moments) = (beginning.from, model.step, beginning.moments)
        isExport = RunFolder(path: beginning.from).isExport
    }

    /// What a run began with; nil for one that began with nothing.
    ///
    /// - Throws: `FileError`; `CommandFailure` for a file that is not what `record` writes.
    init?(of folder: RunFolder) throws {
        guard FileManager.default.fileExists(atPath: folder.beginning) else { return nil }
        guard let known = try? JSONDecoder().decode(Self.self, from: FileReader(path: folder.beginning).contents()) else {
            throw CommandFailure(
                .data,
                "\(folder.beginning): must say what the run began with, but cannot be read; give it with --from and remove the file"
            )
        }
        self = known
    }

    /// Keeps it in the run's folder; nil: that it began with nothing.
    ///
    /// - Throws: `FileError`.
    static func record(_ beginning: BeginningFrom?, in folder: RunFolder) throws {
        if let beginning {
            try FileWriter.replace(folder.beginning, with: JSONText.pretty(beginning))
        } else if FileManager.default.fileExists(atPath: folder.beginning) {
            do { try FileManager.default.removeItem(atPath: folder.beginning) } catch {
                throw FileError(path: folder.beginning, reason: "removing failed: \(error.localizedDescription)")
            }
        }
    }

    /// The model: the one of the recorded update, where there is one.
    ///
    /// - Throws: `CommandFailure` where it is another now; what reading it throws.
    func model(report: (CheckpointError) -> Void) throws -> StoredModel {
        let run = try RunFolder(existing: from)
        guard let update else { return try StoredModel(run, withMoments: takesMoments, report: report) }
        let model = try StoredModel(
            run, run.isExport ? .latest : .step(update), withMoments: takesMoments, report: report)
        guard model.step == update, run.isExport == isExport else {
            throw CommandFailure(
                .usage,
                "\(from): must be the model of update \(update) that the run began with, but is of update \(model.step) now: "
                    + "begin a run in another folder")
        }
        return model
    }
}
