import Foundation
import TensorCore
import Testing
import TransformerModel
import _TestSupport

@testable import Evaluation

@Suite struct SamplingTests {
    private static let source: [Int32] = [5, 6, 7, 1]

    /// How often each first token is drawn is its probability, of all tokens and of the likeliest.
    @Test(arguments: [1, 0.5] as [Float], [nil, 3]) func firstTokens(temperature: Float, topK: Int?) throws {
        try alone { rank in
            let model = try SearchModel.make(on: rank, vocabulary: 9, seed: 2, sharpness: 0.7)
            let count = 4000
            let sampling = Sampling(count: count, temperature: temperature, topK: topK, limit: LengthLimit(ratio: 0, margin: 1))
            let found = try sampling.translations(
                ModelScorer(model), [Self.source], numbers: [0], vocabulary: SearchModel.searchVocabulary)[0]
            #expect(found.count == count)
            let next = try SearchModel.nextLogProbabilities(model, source: Self.source, tokens: [])[0]
            let allowed = next.indices.filter { next[$0] > -.infinity }.sorted { next[$0] > next[$1] }.prefix(topK ?? 9)
            let weights = allowed.map { exp(next[$0] / Double(temperature)) }, sum = weights.reduce(0, +)
            for (token, weight) in zip(allowed, weights) {
                let drawn = found.filter { ($0.tokens.first ?? SearchModel.endOfSentence) == Int32(token) }
                let share = Double(drawn.count) / Double(count), expected = weight / sum
                // Four standard deviations.
                #expect(abs(share - expected) < 4 * (expected * (1 - expected) / Double(count)).squareRoot() + 1e-3)
                for translation in drawn.prefix(1) { #expect(abs(Double(translation.logProbability) - next[token]) < 1e-3) }
            }
            #expect(Set(found.map { Int($0.tokens.first ?? 1) }).isSubset(of: Set(allowed)))
        }
    }

    /// Draws are a sentence's own, whichever others are in the batch.
    @Test func companyChangesNothing() throws {
        try alone { rank in
            let model = try SearchModel.make(on: rank, vocabulary: 20, seed: 2)
            let sources: [[Int32]] = [[4, 1], [5, 6, 7, 1], [9, 8, 1]], sampling = Sampling(count: 2, temperature: 1.2)
            func draw(_ chosen: [Int]) throws -> [[[Int32]]] {
                try sampling.translations(
                    ModelScorer(model), chosen.map { sources[$0] }, numbers: chosen, vocabulary: SearchModel.searchVocabulary
                ).map { $0.map(\.tokens) }
            }
            let together = try draw([0, 1, 2])
            for sentence in 0..<3 {
                #expect(try Set(draw([sentence])[0]) == Set(together[sentence]))
            }
            #expect(Set(together.flatMap { $0 }).count > 3)
        }
    }
}
