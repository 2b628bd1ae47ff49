import Checkpoints
import ConfigurationForms
import DataPipeline
import Files
import Foundation
import Runs

/// A folder with one trained model: `model.safetensors`, `config.json`, `config.yaml`, `tokenizer.model` and, where they were carried
/// over, the optimizer's moments, `optimizer.safetensors`.
public struct ModelExport {
    static let format = "strata-export"
    static let version = 1
    fileprivate static let modelName = "model.safetensors", momentsName = "optimizer.safetensors"

    /// What `config.json` says of the model besides its configuration.
    fileprivate struct Facts: Codable {
        var format = ModelExport.format
        var version = ModelExport.version
        /// Updates that the model was trained for.
        var step: Int
        var vocabulary: Int
        var languages: [String]
        /// The fingerprint of the prepared data that it was trained on.
        var data: String
        var model: FileRecord
        /// What surgery has done to it, in order; nil for a model as it was trained.
        var history: [String]?
        /// Global ids of the experts that exist, by block; nil where they neither come nor go while training.
        var experts: [String: [Int]]?
        /// nil where there are none.
        var moments: Moments?
    }

    fileprivate struct Moments: Codable {
        /// Updates that have moved them.
        var updates: Int
        var file: FileRecord
    }

    /// `config.json`, for other programs: `config.yaml` is what the configuration is read from.
    private struct Document: Encodable {
        let facts: Facts
        let configuration: ConfigurationNode.Content?

        enum CodingKeys: CodingKey {
            case configuration
        }

        func encode(to encoder: any Encoder) throws {
            try facts.encode(to: encoder)
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(configuration, forKey: .configuration)
        }
    }

    public let path: String
    fileprivate let facts: Facts

    /// - Throws: `CheckpointError.damaged`, or `FileError`.
    public init(path: String) throws {
        self.path = path
        let file = "\(path)/config.json"
        guard let facts = try? JSONDecoder().decode(Facts.self, from: FileReader(path: file).contents()),
            facts.format == Self.format, facts.version == Self.version
        else {
            throw CheckpointError.damaged(
                path: file, reason: "must be what strata export wrote, format version \(Self.version)")
        }
        for updates in [facts.step, facts.moments?.updates ?? 0] where !CheckpointManifest.updates.contains(updates) {
            throw CheckpointError.damaged(path: file, reason: "it must tell a number of updates, but tells \(updates)")
        }
        self.facts = facts
    }

    /// The tensors of one of its files, verified.
    ///
    /// - Throws: `CheckpointError.damaged`.
    fileprivate func tensors(_ name: String, _ record: FileRecord) throws -> TensorCatalog {
        let file = "\(path)/\(name)", checksum = try Checksum.text(ofFile: file)
        guard checksum == record.checksum else {
            throw CheckpointError.damaged(path: file, reason: "its checksum must be \(record.checksum), but is \(checksum)")
        }
        return try TensorCatalog(path: file)
    }

    /// The optimizer's moments of its `parameters`, verified.
    ///
    /// - Throws: `RunError` if there are none; `CheckpointError.damaged`, `FileError`.
    func moments(of parameters: any NamedTensors) throws -> StoredMoments {
        guard let moments = facts.moments else {
            throw RunError(
                .usage,
                "--moments needs the optimizer's moments, which \(path) has not: name a run, or an export that strata convert made of "
                    + "one with --moments")
        }
        let tensors = try tensors(Self.momentsName, moments.file)
        return try StoredMoments(
            tensors, of: parameters, updates: moments.updates, path: "\(path)/\(Self.momentsName)")
    }

    /// Writes a model, in bounded memory, under a temporary name that a rename makes the folder's.
    ///
    /// - Returns: The bytes of its tensors.
    /// - Throws: `FileError`, and what reading the model's parameters throws; then nothing is left of the attempt.
    @discardableResult
    public static func write(_ model: StoredModel, to out: String) throws -> Int {
        // A shell would have expanded what it is to: the path is taken as it is, but for slashes at its end.
        let folder = out.withoutTrailingSlashes, partial = Folder.partial(folder)
        try Folder.createEmpty(partial)
        do {
            let record = try write(model.parameters, toFile: "\(partial)/\(modelName)")
            let moments = try model.moments.map {
                Moments(updates: $0.updates, file: try write($0.named, toFile: "\(partial)/\(momentsName)"))
            }
            let tokenizer = try FileReader(path: model.tokenizer).contents(), configuration = model.configuration
            try FileWriter.write(tokenizer, to: "\(partial)/tokenizer.model")
            try FileWriter.write(configuration.yaml(), to: "\(partial)/config.yaml")
            let languages = Set(configuration.data.directions.flatMap { [$0.source, $0.target] })
            let facts = Facts(
                step: model.step, vocabulary: try Tokenizer(model: tokenizer).vocabularySize, languages: languages.sorted(),
                data: model.dataFingerprint, model: record, history: model.history.isEmpty ? nil : model.history,
                experts: try model.experts().map {
                    Dictionary(uniqueKeysWithValues: zip(configuration.model.blockNames, $0))
                }, moments: moments)
            let document = Document(facts: facts, configuration: configuration.form.write(configuration))
            try FileWriter.write(JSONText.pretty(document), to: "\(partial)/config.json")
            try Folder.sync(partial)
            try Folder.rename(partial, to: folder)
            return record.size + (moments?.file.size ?? 0)
        } catch {
            try? FileManager.default.removeItem(atPath: partial)
            throw error
        }
    }

    private static func write(_ tensors: any NamedTensors, toFile path: String) throws -> FileRecord {
        let names = tensors.names, writer = try FileWriter(path: path)
        // Without this some Python libraries refuse the file.
        let header = try SafeTensorsWriter.header(names.map { ($0, tensors.shape($0)!) }, metadata: ["format": "pt"])
        try header.withUnsafeBytes { try writer.write($0) }
        let chunk = UnsafeMutableBufferPointer<Float>.allocate(capacity: 1 << 18)
        defer { chunk.deallocate() }
        for name in names {
            let count = tensors.count(name)
            for start in stride(from: 0, to: count, by: chunk.count) {
                let elements = start..<min(start + chunk.count, count)
                try tensors.read(name, elements, into: chunk.baseAddress!)
                try writer.write(UnsafeRawBufferPointer(start: chunk.baseAddress!, count: 4 * elements.count))
            }
        }
        return try writer.finish()
    }
}

extension StoredModel {
    /// The model of an export, verified; `configuration` is what stands in its `config.yaml`.
    ///
    /// - Throws: `CheckpointError.damaged`, or `FileError`.
    init(_ export: ModelExport, configuration: RunConfiguration) throws {
        self.init(
            configuration: configuration, parameters: try export.tensors(ModelExport.modelName, export.facts.model),
            step: export.facts.step,
            dataFingerprint: export.facts.data, tokenizer: RunFolder(path: export.path).tokenizer,
            history: export.facts.history ?? [], path: export.path)
    }
}
