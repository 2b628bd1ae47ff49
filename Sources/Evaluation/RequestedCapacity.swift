import Autograd
import DataPipeline
import MixtureOfExperts
import NeuralLayers
import TensorCore
import TransformerModel

/// The requested capacity (RC) of text: the strata that its tokens pass, on average over tokens and blocks, with the reference
/// translation given. Encoder and decoder apart.
public struct RequestedCapacity: Sendable, Equatable {
    public var encoder: RoutingStatistics
    public var decoder: RoutingStatistics

    public init(strata: [Int]) {
        encoder = RoutingStatistics(strata: strata)
        decoder = RoutingStatistics(strata: strata)
    }

    /// Runs the model over a group of sentence pairs and adds what its tokens asked for.
    public mutating func add(_ group: TokenGroup, _ model: TranslationModel) throws {
        let pass = ForwardPass(tape: Tape(model.context, recording: false), isTraining: false, key: RandomKey(seed: 0))
        var encoderReports: [BlockReport] = [], decoderReports: [BlockReport] = []
        let memory = try model.encode(
            source: group.source, segments: group.sourceSegments, pass, reports: &encoderReports)
        _ = try model.decode(
            targetInput: group.targetInput, segments: group.targetSegments, memory: memory,
            memorySegments: group.sourceSegments, pass, reports: &decoderReports)
        for report in encoderReports { encoder += report.statistics }
        for report in decoderReports { decoder += report.statistics }
    }
}
