import Foundation
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

@testable import TransformerModel

/// Decoding in contrast to a weak pass of the same model.
@Suite struct ContrastTests {
    private static func apply(_ contrast: Contrast, _ strong: [Float], _ weak: [Float]) -> [Float] {
        var result = strong
        result.withUnsafeMutableBufferPointer { strong in
            weak.withUnsafeBufferPointer { contrast.apply(strong.baseAddress!, weak: $0.baseAddress!, count: weak.count) }
        }
        return result
    }

    private static func logSoftmax(_ logits: [Float]) -> [Float] {
        let total = log(logits.reduce(0.0) { $0 + exp(Double($1)) })
        return logits.map { Float(Double($0) - total) }
    }

    /// By hand: the second and the third token change places; then the best one changes.
    @Test func byHand() throws {
        let contrast = Contrast(.rounds(1), alpha: 0.1, beta: 0.5)
        let first = Self.apply(contrast, [2, 1, 0.5, -3], [1.5, 1.2, -0.5, -1])
        try expectClose(Array(first[..<3]), [2.25, 0.9, 1], tolerance: 1e-6, "scores")
        #expect(first[3] == -.infinity)
        try expectClose(
            Array(Self.logSoftmax(first)[..<3]), [-0.435506, -1.785506, -1.685506], tolerance: 1e-6, "log-probabilities")
        let second = Self.apply(contrast, [2, 1.8, 0, -1], [2, 0.8, 0.5, -1])
        try expectClose(Array(second[..<3]), [2, 2.3, -0.25], tolerance: 1e-6, "scores")
        // Forbidden tokens are no maximum.
        #expect(Self.apply(contrast, [-.infinity, 1, 0.5, -3], [0, 0, 0, 0])[1...].prefix(2) == [1.5, 0.75])
        #expect(Self.apply(Contrast(.rounds(1), alpha: 1, beta: 0), [1, 2, 1.5], [5, 5, 5]) == [-.infinity, 2, -.infinity])
    }

    @Test(arguments: OracleFiles.names("method_scmoe_")) func asTheReferenceDoes(name: String) throws {
        let file = try OracleFiles.open(name), shape = try #require(file.entries["strong"]).shape
        let alpha = try #require(file.metadata["alpha"].flatMap(Float.init))
        let betas = try JSONDecoder().decode([Float].self, from: Data((file.metadata["betas"] ?? "").utf8))
        let strong = try #require(file.floats("strong")), weak = try #require(file.floats("weak"))
        for beta in betas {
            let key = "beta\(Int((100 * beta).rounded()))", contrast = Contrast(.rounds(1), alpha: alpha, beta: beta)
            let valid = try #require(file.integers("\(key).valid")), chosen = try #require(file.integers("\(key).chosen"))
            let expected = try #require(file.floats("\(key).log_probabilities"))
            for row in 0..<shape[0] {
                let range = row * shape[1]..<(row + 1) * shape[1]
                let scores = Self.apply(contrast, Array(strong[range]), Array(weak[range]))
                #expect(scores.map { $0 > -.infinity ? 1 : 0 } == Array(valid[range]), "\(key), row \(row)")
                #expect(scores.indices.max { scores[$0] < scores[$1] } == Int(chosen[row]), "\(key), row \(row)")
                let logs = zip(Self.logSoftmax(scores), expected[range]).filter { $0.0 > -.infinity }
                try expectClose(logs.map(\.0), logs.map(\.1), tolerance: 1e-5, "\(key), row \(row)")
            }
        }
    }

    private static let sources: [[Int32]] = [[3, 4, 5, 6, 2], [7, 8, 2], [9, 10, 11, 12, 13, 14, 2]]
    private static let rows = sources.indices.map { DecodingRow(token: 1, sentence: $0, parent: nil) }

    private static func logits(_ scorer: some NextTokenScorer) throws -> [[Float]] {
        _ = try scorer.begin(sources)
        let first = try scorer.logits(rows).elements
        let next = sources.indices.map { DecodingRow(token: Int32(5 + $0), sentence: $0, parent: $0) }
        return [first, try scorer.logits(next).elements]
    }

    /// As many rounds as there are strata, or a single stratum, leave nothing to contrast with: strong scores of the candidates, to
    /// the bit where β is 0.
    @Test func allRoundsAreNoContrast() throws {
        try alone { group in
            for (strata, rounds) in [([4], 1), ([3, 4], 2), ([2, 2, 2], 3)] {
                let model = try TinyModel.make(MixtureConfiguration(strata: strata), group: group)
                let plain = try Self.logits(ModelScorer(model))
                let same = try Self.logits(ContrastScorer(model, Contrast(.rounds(rounds), alpha: 1e-30, beta: 0)))
                #expect(same == plain)
                let contrasted = try Self.logits(ContrastScorer(model, Contrast(.rounds(rounds), alpha: 1e-30, beta: 0.5)))
                for (step, expected) in zip(contrasted, plain) { try expectClose(step, expected, tolerance: 1e-5, "logits") }
            }
        }
    }

    /// The weak pass is the model whose tokens all leave after the first stratum.
    @Test func oneRoundIsAnotherPass() throws {
        try alone { group in
            let model = try TinyModel.make(MixtureConfiguration(strata: [3, 4]), group: group)
            let plain = try Self.logits(ModelScorer(model))
            let other = try Self.logits(ContrastScorer(model, Contrast(.rounds(1), alpha: 1e-30, beta: 0.5)))
            #expect(zip(plain.joined(), other.joined()).contains { abs($0 - $1) > 1e-3 }, "or no token went on")
        }
    }

    /// The weak pass of a rank is that of a model whose gates give their tokens that expert alone; of a single one any rank takes it.
    @Test func ranksAreExperts() throws {
        try alone { group in
            let single = try TinyModel.make(MixtureConfiguration(strata: [1]), group: group),
                plain = try Self.logits(ModelScorer(single))
            let same = try Self.logits(ContrastScorer(single, Contrast(.rank(3), alpha: 1e-30, beta: 0.5)))
            for (step, expected) in zip(same, plain) { try expectClose(step, expected, tolerance: 1e-5, "logits") }
            let model = try TinyModel.make(MixtureConfiguration(strata: [3, 4]), group: group)
            let ranks = try (1...3).map { try Self.logits(ContrastScorer(model, Contrast(.rank($0), alpha: 1e-30, beta: 0.5))) }
            #expect(Set(ranks.map { $0[1] }).count == 3)
            #expect(Contrast(.rank(2)).text == "rank:2, alpha 0.1, beta 0.5")
        }
    }

    /// Each gate gives a token its second expert, with weight 1, and it moves on by that.
    @Test func theSecondExpertIsTaken() {
        let configuration = MixtureConfiguration(strata: [2, 2]), context = ComputeContext(threads: 1)
        let router = StratifiedRouter(GateSite(name: "gate", configuration: configuration, stratum: 0, dim: 1))
        let logits = context.tensor([4, 3, 2, 1, 1, 2, 3, 4], rows: 2, columns: 4)
        for (rank, experts) in [(1, [0, 3]), (2, [1, 2]), (4, [3, 0]), (9, [3, 0])] as [(Int, [Int32])] {
            let decision = router.route(
                context, logits: context.copy(logits), onlyRank: rank, rows: [0, 1], key: RandomKey(seed: 1), isTraining: false)
            #expect(decision.experts == experts && decision.leading == experts && decision.weights == [1, 1])
        }
    }
}
