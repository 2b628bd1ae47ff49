import Autograd
import Checkpoints
import Collectives
import DataPipeline
import Runs
import TransformerModel

/// A trained model as it is stored, in a checkpoint of a run or in an export, or as surgery makes it of others: its configuration,
/// and its parameters, which are read as they are asked for.
///
/// An operation of surgery is a function of such models that gives another; `ModelExport.write` writes it.
public struct StoredModel: Sendable {
    /// The configuration of the run that trained it.
    public var configuration: RunConfiguration
    /// Parameters by the names that checkpoints use, experts by their global ids; without the optimizer's state.
    public var parameters: any NamedTensors
    /// The optimizer's moments, where they were asked for.
    public var moments: StoredMoments?
    /// Updates that it was trained for.
    public var step: Int
    /// The fingerprint of the prepared data that it was trained on.
    public var dataFingerprint: String
    /// The path of its tokenizer's file.
    public var tokenizer: String
    /// What surgery has done to it, in order; empty for a model as it was trained.
    public var history: [String]
    /// The path of the checkpoint or export, for messages.
    public var path: String

    public init(
        configuration: RunConfiguration, parameters: any NamedTensors, moments: StoredMoments? = nil, step: Int,
        dataFingerprint: String, tokenizer: String, history: [String] = [], path: String
    ) {
        self.configuration = configuration
        self.parameters = parameters
        self.moments = moments
        self.step = step
        self.dataFingerprint = dataFingerprint
        self.tokenizer = tokenizer
        self.history = history
        self.path = path
    }

    /// The global ids of the experts that exist, by block, encoder's first; nil where they neither come nor go.
    ///
    /// - Throws: `CheckpointError.damaged` where a stratum has too few.
    public func experts() throws -> [[Int]]? {
        guard let mixture = configuration.model.mixture, let experts = configuration.model.experts(among: parameters.names)
        else { return nil }
        for (block, ids) in zip(configuration.model.blockNames, experts) where !mixture.hasEveryStratum(ids) {
            throw CheckpointError.damaged(
                path: path,
                reason: "\(block) must have at least \(mixture.fewestExperts) experts of its strata, but has \(ids)")
        }
        return experts
    }

    /// A checkpoint of a run, or an export, verified. `report` is told of damaged checkpoints that are passed over. `averaged`: the
    /// moving average of the parameters in their place. `withMoments`: the optimizer's, too.
    ///
    /// - Throws: `RunError` if a checkpoint or an average is chosen of an export, the checkpoint has no average, or the export no
    ///   moments; `CheckpointError`, `ConfigurationError`, `FileError`.
    public init(
        _ run: RunFolder, _ choice: CheckpointChoice = .latest, averaged: Bool = false, withMoments: Bool = false,
        report: (CheckpointError) -> Void = { _ in }
    ) throws {
        guard run.isExport else {
            let checkpoint = try CheckpointStore.open(run.checkpoints, choice, report: report)
            try self.init(checkpoint, of: run, averaged: averaged)
            if withMoments {
                moments = try StoredMoments(
                    checkpoint.tensors, of: parameters, updates: checkpoint.manifest.momentUpdates, path: path)
            }
            return
        }
        guard choice == .latest else {
            throw RunError(.usage, "--checkpoint is for the folder of a run, but \(run.path) is an export of one model")
        }
        guard !averaged else {
            throw RunError(.usage, "--average is for the folder of a run, but \(run.path) is an export of one model")
        }
        let export = try ModelExport(path: run.path)
        try self.init(export, configuration: RunConfiguration.load(file: run.configuration))
        if withMoments { moments = try export.moments(of: parameters) }
    }

    /// The tensor that has a row for each token.
    static let embedding = "embedding.weight"

    /// Tokens; 0 where there is no embedding.
    var vocabulary: Int { parameters.shape(Self.embedding)?.first ?? 0 }

    /// The parameters that a model of this one's vocabulary has.
    func slices(of model: ModelConfiguration) throws -> [ParameterSlice] {
        let vocabulary = vocabulary
        return try SimulatedCluster.run(ranks: 1) { alone in
            TranslationModel.parameters(configuration: model, vocabulary: vocabulary, expertGroup: alone).flatMap(\.slices)
        }[0]
    }

    /// - Throws: `SurgeryError` unless the parameters are those that the configuration's model has; of experts that come and go nothing is
    ///   known.
    public func requireItsParameters() throws {
        guard configuration.model.mixture?.pool == nil else { return }
        for slice in try slices(of: configuration.model) {
            try parameters.require(
                slice.name, slice.shape, of: path, purpose: "for its config.yaml, ",
                advice: "the two must be of one model")
        }
    }

    /// A checkpoint of a run.
    ///
    /// - Throws: `ConfigurationError` if the run's configuration cannot be used; `RunError` if the average is asked for, and there is
    ///   none.
    public init(_ checkpoint: CheckpointReader, of run: RunFolder, averaged: Bool = false) throws {
        guard !averaged || checkpoint.hasAverage else {
            throw RunError(
                .usage,
                "\(checkpoint.path): has no average of the parameters: train with training.average_decay, or leave --average out"
            )
        }
        self.init(
            configuration: try RunConfiguration.load(file: run.configuration),
            parameters: ParametersAlone(checkpoint.tensors, averaged: averaged), step: checkpoint.manifest.step,
            dataFingerprint: checkpoint.manifest.identity[RunConfiguration.dataIdentity] ?? "", tokenizer: run.tokenizer,
            history: averaged ? ["moving average of the parameters after update \(checkpoint.manifest.step)"] : [],
            path: checkpoint.path)
    }
}

/// The tensors of a checkpoint that are parameters, or their averages under the parameters' names: of frozen ones, which have none,
/// they themselves.
private struct ParametersAlone: NamedTensors {
    private let tensors: TensorCatalog
    private let prefix: String
    let names: [String]

    init(_ tensors: TensorCatalog, averaged: Bool) {
        self.tensors = tensors
        prefix = averaged ? "average." : ""
        names = tensors.names.filter { !Self.isState($0) }
    }

    private static func isState(_ name: String) -> Bool { name.hasPrefix("adam.") || name.hasPrefix("average.") }

    func shape(_ name: String) -> [Int]? { Self.isState(name) ? nil : tensors.shape(stored(name)) }

    func read(_ name: String, _ elements: Range<Int>, into target: UnsafeMutablePointer<Float>) throws {
        try tensors.read(stored(name), elements, into: target)
    }

    private func stored(_ name: String) -> String { tensors.shape(prefix + name) == nil ? name : prefix + name }
}
