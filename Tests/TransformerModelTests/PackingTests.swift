import Autograd
import Collectives
import MixtureMethods
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import TransformerModel
import _TestSupport

/// Sentences packed into one batch do not see each other.
@Suite struct PackingTests {
    private static let pairs = SentencePairs([(5, 6), (1, 1), (9, 4), (1, 12), (14, 1), (5, 6)], seed: 8)

    private static func mixture(_ strata: [Int]) -> MixtureConfiguration? {
        strata.isEmpty ? nil : MixtureConfiguration(strata: strata)
    }

    /// Dense, and mixtures as they are in evaluation: dropless.
    @Test(arguments: [[], [4], [2, 3]]) func aSentenceCostsWhatItCostsAlone(strata: [Int]) throws {
        try alone { communicator in
            let model = try TinyModel.make(Self.mixture(strata), group: communicator)
            let together = try Self.pairs.evaluationLoss(model)
            var total = OutputLoss(), strataPassed = 0
            for index in 0..<Self.pairs.count {
                let single = try SentencePairs(Self.pairs, only: index).evaluationLoss(model)
                total += single.output
                strataPassed += single.reports.reduce(0) { $0 + $1.statistics.strataPassed }
            }
            #expect(together.output.tokens == total.tokens)
            #expect(abs(together.output.smoothed - total.smoothed) < 1e-5 * total.smoothed)
            #expect(abs(together.output.negativeLogLikelihood - total.negativeLogLikelihood) < 1e-5 * total.smoothed)
            #expect(together.reports.reduce(0) { $0 + $1.statistics.strataPassed } == strataPassed)
            #expect(together.reports.count == model.mixtureBlocks)
        }
    }

    @Test(arguments: [[], [4], [2, 3]]) func statesAreThoseOfTheSentenceAlone(strata: [Int]) throws {
        try alone { communicator in
            let model = try TinyModel.make(Self.mixture(strata), group: communicator), pairs = Self.pairs
            let all = try pairs.states(model)
            for index in 0..<pairs.count {
                let single = try SentencePairs(pairs, only: index).states(model)
                try expectClose(
                    all.encoder.rows(pairs.sourceSegments.range(index)).elements, single.encoder.elements, tolerance: 1e-5,
                    "encoder, sentence \(index)")
                try expectClose(
                    all.decoder.rows(pairs.targetSegments.range(index)).elements, single.decoder.elements, tolerance: 1e-5,
                    "decoder, sentence \(index)")
            }
        }
    }

    /// Routing in training does see the batch: that is what capacity is about.
    @Test func capacityIsSharedByTheBatch() throws {
        try alone { communicator in
            var mixture = MixtureConfiguration(strata: [4])
            mixture.capacityFactor = 0.5
            mixture[TokenChoice.self].secondExpert = .best
            let model = try TinyModel.make(mixture, group: communicator)
            let tape = Tape(model.context, recording: false)
            let report = try Self.pairs.trainingLoss(model, on: tape, key: RandomKey(seed: 0)).reports[0]
            #expect(report.statistics.dropped > 0)
            #expect(report.statistics.choices == 2 * Self.pairs.sourceSegments.rows)
        }
    }

    /// A later target token has no influence on what comes before it.
    @Test(arguments: [[], [2, 3]]) func theDecoderIsCausal(strata: [Int]) throws {
        try alone { communicator in
            let model = try TinyModel.make(Self.mixture(strata), group: communicator)
            func states(_ target: [Int32]) throws -> Tensor {
                try SentencePairs(source: [4, 5, 6], target: target).states(model).decoder
            }
            let long = try states([1, 2, 3, 4, 5]), changed = try states([1, 2, 3, 9, 9])
            try expectClose(long.rows(0..<3).elements, changed.rows(0..<3).elements, tolerance: 1e-6, "earlier states")
            #expect(long.rows(3..<4).elements != changed.rows(3..<4).elements)
        }
    }
}
