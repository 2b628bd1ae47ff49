import Checkpoints
import Collectives
import DataPipeline
import TensorCore
import TransformerModel

/// What the feed-forward networks, or mixtures, of a model's layers read of some text, the translation given, by the rules of
/// evaluation: LayerNorm(x) of so many tokens on each side.
public struct CalibrationRows: Sendable {
    public let dim: Int
    /// Rows [T, d] by the layer's name, such as `encoder.layers.0`.
    public var rows: [String: [Float]]

    public init(dim: Int, rows: [String: [Float]]) {
        self.dim = dim
        self.rows = rows
    }

    /// Runs a model over `groups` until each side has `tokens` rows, or there are no more. The rows of all layers are in memory
    /// together: tokens × layers × d floats. `alone` is a communicator of this rank alone; `progress` is told the groups that are
    /// done.
    ///
    /// - Throws: `CheckpointError` where a parameter cannot be read.
    public init(
        _ model: StoredModel, groups: some Sequence<TokenGroup>, tokens: Int, threads: Int, alone: any Communicator,
        progress: (Int) -> Void = { _ in }
    ) throws {
        let configuration = model.configuration.model
        dim = configuration.dim
        let network = TranslationModel(
            forInference: configuration, vocabulary: model.vocabulary, context: ComputeContext(threads: threads),
            expertGroup: alone)
        try model.parameters.load(into: network.store, path: model.path)
        network.packForInference()
        var rows: [String: [Float]] = [:]
        for (number, group) in groups.enumerated() {
            for (layer, read) in try network.layerRows(of: group.batch) {
                let missing = tokens * configuration.dim - rows[layer, default: []].count
                rows[layer, default: []] += read.elements.prefix(max(missing, 0))
            }
            progress(number + 1)
            if rows.values.allSatisfy({ $0.count == tokens * configuration.dim }) { break }
        }
        self.rows = rows
    }
}
