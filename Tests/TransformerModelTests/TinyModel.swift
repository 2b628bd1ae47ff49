import Autograd
import Collectives
import MixtureOfExperts
import NeuralLayers
import TensorCore
import TransformerModel
import _TestSupport

/// A small model with all its parameters away from their initial values.
enum TinyModel {
    static let vocabulary = 23

    static func configuration(_ mixture: MixtureConfiguration?, dropout: Float = 0) -> ModelConfiguration {
        var configuration = ModelConfiguration()
        configuration.dim = 16
        configuration.ffnDim = 24
        configuration.heads = 2
        configuration.encoderLayers = 2
        configuration.decoderLayers = 2
        configuration.dropout = dropout
        configuration.attentionDropout = dropout
        configuration.mixture = mixture
        return configuration
    }

    /// `group` is the expert-parallel group's.
    static func make(
        _ mixture: MixtureConfiguration?, group: any Communicator, dropout: Float = 0, seed: UInt64 = 3
    ) throws -> TranslationModel {
        let model = TranslationModel(
            configuration: configuration(mixture, dropout: dropout), vocabulary: vocabulary,
            context: ComputeContext(threads: 1), expertGroup: group, seed: seed)
        try model.store.perturb(deviation: 0.1, seed: seed)
        return model
    }
}

/// Packed sentence pairs of drawn tokens.
struct SentencePairs: Sendable {
    let sources: [[Int32]]
    let targetInputs: [[Int32]]
    let targetOutputs: [[Int32]]

    /// Pairs of the given lengths.
    init(_ lengths: [(source: Int, target: Int)], seed: UInt64) {
        func draw(_ length: Int, _ key: Int) -> [Int32] {
            drawnTokens(length, of: 0..<Int32(TinyModel.vocabulary), seed: seed &* 1000 &+ UInt64(key))
        }
        sources = lengths.enumerated().map { draw($1.source, 3 * $0) }
        targetInputs = lengths.enumerated().map { draw($1.target, 3 * $0 + 1) }
        targetOutputs = lengths.enumerated().map { draw($1.target, 3 * $0 + 2) }
    }

    /// One pair of given tokens; what is to be said is what is read.
    init(source: [Int32], target: [Int32]) {
        sources = [source]
        targetInputs = [target]
        targetOutputs = [target]
    }

    init(_ pairs: SentencePairs, only index: Int) {
        sources = [pairs.sources[index]]
        targetInputs = [pairs.targetInputs[index]]
        targetOutputs = [pairs.targetOutputs[index]]
    }

    var count: Int { sources.count }
    var targetTokens: Int { targetOutputs.reduce(0) { $0 + $1.count } }
    var sourceSegments: Segments { Segments(lengths: sources.map(\.count)) }
    var targetSegments: Segments { Segments(lengths: targetInputs.map(\.count)) }

    var batch: SentenceBatch {
        SentenceBatch(
            source: sources.flatMap { $0 }, sourceSegments: sourceSegments, targetInput: targetInputs.flatMap { $0 },
            targetOutput: targetOutputs.flatMap { $0 }, targetSegments: targetSegments)
    }

    /// By the rules of training, on a tape that records if something is to be differentiated.
    func trainingLoss(
        _ model: TranslationModel, on tape: Tape, key: RandomKey, gradientScale: Float = 0, auxiliaryScale: Float = 0
    ) throws -> TranslationModel.BatchLoss {
        try model.loss(
            batch, on: tape, isTraining: true, key: key, smoothing: 0.1, gradientScale: gradientScale,
            auxiliaryScale: auxiliaryScale)
    }

    /// By the rules of evaluation.
    func evaluationLoss(_ model: TranslationModel) throws -> TranslationModel.BatchLoss {
        try model.loss(
            batch, on: Tape(model.context, recording: false), isTraining: false, key: RandomKey(seed: 0), smoothing: 0.1)
    }

    /// Encoder and decoder over all sentences, in evaluation.
    func states(_ model: TranslationModel) throws -> (encoder: Tensor, decoder: Tensor) {
        let batch = batch, pass = model.evaluationPass
        let memory = try model.encode(source: batch.source, segments: batch.sourceSegments, pass)
        let decoded = try model.decode(
            targetInput: batch.targetInput, segments: batch.targetSegments, memory: memory,
            memorySegments: batch.sourceSegments, pass)
        return (memory.value, decoded.value)
    }
}

extension TranslationModel {
    /// A pass of evaluation.
    var evaluationPass: ForwardPass {
        ForwardPass(tape: Tape(context, recording: false), isTraining: false, key: RandomKey(seed: 0))
    }
}

/// Runs `body` as a cluster of one.
func alone<Result: Sendable>(_ body: @Sendable (any Communicator) throws -> Result) throws -> Result {
    try SimulatedCluster.run(ranks: 1, body)[0]
}
