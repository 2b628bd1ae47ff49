import Foundation
import Testing

@testable import Evaluation

@Suite struct EvaluationResultTests {
    private func result(
        update: Int, bleu: Double, beam: Int = 5, lengthPenalty: Float = 1, split: String = "test"
    ) -> EvaluationResult {
        let scores = EvaluationResult.Scores(
            bleu: bleu, chrf: 50, exact: 10, sentences: 4, encoderRequestedCapacity: 1.5, decoderRequestedCapacity: 2)
        return EvaluationResult(
            split: split, update: update, beam: beam, lengthPenalty: lengthPenalty, average: scores,
            directions: ["a-b": scores],
            signature: "tok:13a", chrfSignature: "nc:6")
    }

    @Test func keysAreSnakeCase() throws {
        let encoded = try JSONEncoder().encode(result(update: 3, bleu: 1))
        let object = try #require(try JSONSerialization.jsonObject(with: encoded) as? [String: Any])
        #expect(
            Set(object.keys) == [
                "split", "update", "beam", "length_penalty", "average", "directions", "signature", "chrf_signature",
            ])
        let average = try #require(object["average"] as? [String: Any])
        #expect(Set(average.keys) == ["bleu", "chrf", "exact", "sentences", "rounds_encoder", "rounds_decoder"])
        #expect(try JSONDecoder().decode(EvaluationResult.self, from: encoded) == result(update: 3, bleu: 1))
    }

    @Test func resultsOfBeforeTheSearchWasKeptAreRead() throws {
        let scores = #"{"bleu": 1, "chrf": 50, "exact": 10}"#
        let text =
            #"{"split": "test", "update": 3, "beam": 5, "average": \#(scores), "directions": {"a-b": \#(scores)}, "#
            + #""signature": "tok:13a", "earlier": [{"update": 2, "average": \#(scores)}]}"#
        let result = try JSONDecoder().decode(EvaluationResult.self, from: Data(text.utf8))
        #expect(result.lengthPenalty == 1 && result.chrfSignature == nil && result.means.map(\.update) == [2, 3])
        #expect(self.result(update: 4, bleu: 2).replacing(result).means.map(\.update) == [2, 3, 4])
    }

    @Test func earlierMeansStay() {
        let first = result(update: 10, bleu: 1), second = result(update: 30, bleu: 3).replacing(first)
        let third = result(update: 20, bleu: 2).replacing(second)
        #expect(
            third.update == 20 && third.means.map(\.update) == [10, 20, 30] && third.means.map(\.average.bleu) == [1, 2, 3])
        let again = result(update: 10, bleu: 9).replacing(third)
        #expect(again.means.map(\.average.bleu) == [9, 2, 3])
        #expect(first.means.map(\.update) == [10])
    }

    @Test func whatCannotBeComparedDoesNotStay() {
        let earlier = result(update: 10, bleu: 1)
        #expect(result(update: 20, bleu: 2, beam: 4).replacing(earlier).earlier == nil)
        #expect(result(update: 20, bleu: 2, lengthPenalty: 0).replacing(earlier).earlier == nil)
        #expect(result(update: 20, bleu: 2, split: "valid").replacing(earlier).earlier == nil)
        var other = earlier
        other.directions = ["b-a": other.average]
        #expect(result(update: 20, bleu: 2).replacing(other).earlier == nil)
        var average = result(update: 20, bleu: 2)
        average.ofAverage = true
        #expect(average.replacing(earlier).earlier == nil && earlier.replacing(average).earlier == nil)
    }

    /// A mean of scores by other tokens is none of the same curve.
    @Test func meansByOtherTokensDoNotStay() {
        var chinese = result(update: 20, bleu: 2)
        chinese.signature = "nrefs:1|tok:zh|smooth:exp"
        #expect(chinese.averagedTokenizer == "zh" && chinese.replacing(result(update: 10, bleu: 1)).earlier == nil)
    }

    @Test func theMeanIsOfWhatThereIs() {
        var scores = [1.0, 2].map { EvaluationResult.Scores(bleu: $0, chrf: 10 * $0, exact: 0, sentences: 3) }
        scores[0].further = ["TER": 50]
        scores[1].further = ["TER": 60]
        let mean = EvaluationResult.Scores.mean(scores)
        #expect(mean.bleu == 1.5 && mean.chrf == 15 && mean.further == ["TER": 55])
        #expect(mean.encoderRequestedCapacity == nil && mean.sentences == nil && EvaluationResult.Scores.mean([]).bleu == 0)
    }
}
