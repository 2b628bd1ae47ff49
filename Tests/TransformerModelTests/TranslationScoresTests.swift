import Collectives
import Foundation
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import TransformerModel
import _TestSupport

/// Forced decoding against search's own answers, a position at a time.
@Suite struct TranslationScoresTests {
    @Test(arguments: [nil, MixtureConfiguration(strata: [2, 3])]) func areThoseOfSearch(mixture: MixtureConfiguration?) throws {
        _ = try SimulatedCluster.run(ranks: 1) { world in
            let model = try TinyModel.make(mixture, group: world), impossible: [Int32] = [3, 7]
            let source: [Int32] = [3, 9, 4, 17], input: [Int32] = [3, 5, 11, 2, 20], output: [Int32] = [5, 11, 2, 20, 1]
            let batch = SentenceBatch(
                source: source + [8, 1], sourceSegments: Segments(lengths: [4, 2]), targetInput: input + [7],
                targetOutput: output + [1], targetSegments: Segments(lengths: [5, 1]))
            let scores = try model.logProbabilities(of: batch, impossible: impossible)
            let scorer = ModelScorer(model), sentence = try scorer.begin([source]).lowerBound
            for (position, token) in input.enumerated() {
                let logits = try scorer.logits([DecodingRow(token: token, sentence: sentence, parent: position > 0 ? 0 : nil)])
                let row = (0..<model.vocabulary).map { impossible.contains(Int32($0)) ? -.infinity : Double(logits[0, $0]) }
                let expected = row[Int(output[position])] - log(row.reduce(0) { $0 + exp($1) })
                try #require(abs(Double(scores[position]) - expected) < 1e-4, "position \(position)")
            }
            try #require(scores.count == 6 && scores.allSatisfy { $0 < 0 })
            // As a trained model is loaded.
            model.packForInference()
            for (packed, plain) in zip(try model.logProbabilities(of: batch, impossible: impossible), scores) {
                try #require(abs(packed - plain) < 1e-4)
            }
        }
    }
}
