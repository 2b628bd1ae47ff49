import Autograd
import Collectives
import Foundation
import MixtureOfExperts
import NeuralLayers
import TensorCore
import TransformerModel
import _TestSupport

@testable import Evaluation

/// Small untrained models whose distributions are far from uniform: what they say next depends on what they have said.
enum SearchModel {
    /// 0 unknown, 1 end of sentence, 2 and 3 languages, then words.
    static let endOfSentence: Int32 = 1
    static let languages: [Int32] = [2, 3]
    static let searchVocabulary = SearchVocabulary(start: 3, endOfSentence: endOfSentence, forbidden: languages)

    /// `sharpness` is what logits are multiplied by.
    static func make(
        _ mixture: MixtureConfiguration? = nil, on rank: any Communicator, vocabulary: Int, seed: UInt64, sharpness: Float = 3
    ) throws -> TranslationModel {
        var configuration = ModelConfiguration()
        configuration.dim = 16
        configuration.ffnDim = 24
        configuration.heads = 2
        configuration.encoderLayers = 2
        configuration.decoderLayers = 2
        configuration.dropout = 0.3
        configuration.mixture = mixture
        let model = TranslationModel(
            configuration: configuration, vocabulary: vocabulary, context: ComputeContext(threads: 1), expertGroup: rank,
            seed: seed)
        try model.store.perturb(deviation: 0.3, seed: seed)
        // With one matrix for input and output a model that has learnt nothing repeats its last word: half of the columns
        // speak against it.
        try model.store.forEachSlice { name, _, values, _ in
            guard name.hasPrefix("decoder.norm.") else { return }
            for index in values.indices { values[index] *= index % 2 == 0 ? sharpness : -sharpness }
        }
        return model
    }

    /// What `tokens`, ended by the end of sentence, is worth as a translation of `source`, by the whole decoder; forbidden
    /// tokens take no part.
    static func logProbability(
        _ model: TranslationModel, source: [Int32], tokens: [Int32], forbidden: [Int32] = languages
    ) throws -> Double {
        let outputs = tokens + [endOfSentence]
        return try nextLogProbabilities(model, source: source, tokens: tokens, forbidden: forbidden).enumerated()
            .reduce(0) { $0 + $1.element[Int(outputs[$1.offset])] }
    }

    /// log p of every word after each prefix of `tokens`.
    static func nextLogProbabilities(
        _ model: TranslationModel, source: [Int32], tokens: [Int32], forbidden: [Int32] = languages
    ) throws -> [[Double]] {
        let pass = ForwardPass(tape: Tape(model.context, recording: false), isTraining: false, key: RandomKey(seed: 0))
        let inputs = [searchVocabulary.start] + tokens, segments = Segments(lengths: [source.count])
        let memory = try model.encode(source: source, segments: segments, pass)
        let states = try model.decode(
            targetInput: inputs, segments: Segments(lengths: [inputs.count]), memory: memory, memorySegments: segments, pass
        ).value
        let logits = model.context.uninitialized(inputs.count, model.vocabulary)
        var embedding = model.context.uninitialized(0, 0)
        try model.store.forEachSlice { name, _, values, _ in
            if name == "embedding.weight" {
                embedding = model.context.tensor(Array(values), rows: model.vocabulary, columns: model.configuration.dim)
            }
        }
        MatrixProduct.forward(model.context, x: states, w: embedding, into: logits)
        return (0..<inputs.count).map { row in
            let z = (0..<model.vocabulary).map {
                forbidden.contains(Int32($0)) ? -Double.infinity : Double(logits[row, $0])
            }
            let maximum = z.max()!
            let logSum = maximum + log(z.reduce(0) { $0 + exp($1 - maximum) })
            return z.map { $0 - logSum }
        }
    }
}

/// Runs `body` as a cluster of one.
func alone<Result: Sendable>(_ body: @Sendable (any Communicator) throws -> Result) throws -> Result {
    try SimulatedCluster.run(ranks: 1, body)[0]
}
