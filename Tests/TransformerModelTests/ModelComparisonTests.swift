import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

@testable import TransformerModel

/// How far two models are apart.
@Suite struct ModelComparisonTests {
    @Test func equalModelsAreNotApart() throws {
        try alone { group in
            let models = try [[3, 4], [3, 4], [2, 2]].map { try TinyModel.make(MixtureConfiguration(strata: $0), group: group) }
            let batch = SentencePairs([(4, 5), (7, 3)], seed: 3).batch
            let same = try ModelComparison(models[0], models[1], on: [batch, batch])
            #expect(
                same.relativeDifference == 0 && same.losses.0 == same.losses.1 && same.tokens == 2 * batch.targetOutput.count)
            let other = try ModelComparison(models[0], models[2], on: [batch])
            #expect(other.relativeDifference > 1e-3 && other.losses.0 != other.losses.1)
            #expect(abs(other.losses.0 - same.losses.0) < 1e-9)
        }
    }
}
