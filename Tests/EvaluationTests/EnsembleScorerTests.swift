import Foundation
import TensorCore
import Testing
import TransformerModel
import _TestSupport

@testable import Evaluation

@Suite struct EnsembleScorerTests {
    private static let sources: [[Int32]] = [[5, 6, 7, 1], [9, 1]]

    /// The mean of the models' probabilities, each from the whole decoder.
    @Test func probabilitiesAreMeans() throws {
        try alone { rank in
            let models = try [1, 2, 3].map { try SearchModel.make(on: rank, vocabulary: 20, seed: $0) }
            let ensemble = EnsembleScorer(models.map { ModelScorer($0) })
            let first = try ensemble.begin(Self.sources).lowerBound
            let logits = try ensemble.logits(
                Self.sources.indices.map { DecodingRow(token: 3, sentence: first + $0, parent: nil) })
            for (row, source) in Self.sources.enumerated() {
                let each = try models.map {
                    try SearchModel.nextLogProbabilities($0, source: source, tokens: [], forbidden: [])[0]
                }
                for token in 0..<20 {
                    let mean = each.reduce(0) { $0 + exp($1[token]) } / 3
                    #expect(abs(exp(Double(logits[row, token])) - mean) < 1e-5)
                }
            }
        }
    }

    @Test func severalOfOneModelAreThatModel() throws {
        try alone { rank in
            let model = try SearchModel.make(on: rank, vocabulary: 20, seed: 2)
            let search = BeamSearch(beam: 3)
            let alone = try search.translate(ModelScorer(model), Self.sources, vocabulary: SearchModel.searchVocabulary)
            let twice = try search.translate(
                EnsembleScorer([ModelScorer(model), ModelScorer(model)]), Self.sources,
                vocabulary: SearchModel.searchVocabulary)
            #expect(alone == twice && alone[0] != alone[1])
        }
    }
}
