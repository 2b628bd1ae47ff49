import Foundation
import Testing

@testable import Evaluation

@Suite struct EvaluationResultTests {
    private func result(update: Int, bleu: Double, beam: Int = 5, split: String = "test") -> EvaluationResult {
        let scores = EvaluationResult.Scores(bleu: bleu, chrf: 50, exact: 10, sentences: 4, roundsEncoder: 1.5, roundsDecoder: 2)
        return EvaluationResult(
            split: split, update: update, beam: beam, average: scores, directions: ["a-b": scores], signature: "tok:13a")
    }

    @Test func keysAreSnakeCase() throws {
        let encoded = try JSONEncoder().encode(result(update: 3, bleu: 1))
        let object = try #require(try JSONSerialization.jsonObject(with: encoded) as? [String: Any])
        #expect(Set(object.keys) == ["split", "update", "beam", "average", "directions", "signature"])
        let average = try #require(object["average"] as? [String: Any])
        #expect(Set(average.keys) == ["bleu", "chrf", "exact", "sentences", "rounds_encoder", "rounds_decoder"])
        #expect(try JSONDecoder().decode(EvaluationResult.self, from: encoded) == result(update: 3, bleu: 1))
    }

    @Test func earlierMeansStay() {
        let first = result(update: 10, bleu: 1), second = result(update: 30, bleu: 3).replacing(first)
        let third = result(update: 20, bleu: 2).replacing(second)
        #expect(third.update == 20 && third.means.map(\.update) == [10, 20, 30] && third.means.map(\.average.bleu) == [1, 2, 3])
        let again = result(update: 10, bleu: 9).replacing(third)
        #expect(again.means.map(\.average.bleu) == [9, 2, 3])
        #expect(first.means.map(\.update) == [10])
    }

    @Test func whatCannotBeComparedDoesNotStay() {
        let earlier = result(update: 10, bleu: 1)
        #expect(result(update: 20, bleu: 2, beam: 4).replacing(earlier).earlier == nil)
        #expect(result(update: 20, bleu: 2, split: "valid").replacing(earlier).earlier == nil)
        var other = earlier
        other.directions = ["b-a": other.average]
        #expect(result(update: 20, bleu: 2).replacing(other).earlier == nil)
    }
}
