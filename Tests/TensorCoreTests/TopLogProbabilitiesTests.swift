import Foundation
import TensorCore
import Testing
import _TestSupport

@Suite struct TopLogProbabilitiesTests {
    /// The definition: sort all that is allowed.
    private static func naive(_ logits: [Float], count: Int, forbidden: [Int32]) -> [(token: Int32, logProbability: Double)] {
        let allowed = logits.indices.filter { !forbidden.contains(Int32($0)) }
        let maximum = allowed.reduce(-Double.infinity) { max($0, Double(logits[$1])) }
        let logSum = log(allowed.reduce(0) { $0 + exp(Double(logits[$1]) - maximum) }) + maximum
        return allowed.sorted { (-logits[$0], $0) < (-logits[$1], $1) }.prefix(count)
            .map { (Int32($0), Double(logits[$0]) - logSum) }
    }

    @Test(arguments: [1, 5, 63, 64, 65, 200, 1000], [1, 2]) func theBestOfEachRow(vocabulary: Int, threads: Int) {
        let context = ComputeContext(threads: threads)
        // Rounded, so that there are ties.
        let values = normalValues(5 * vocabulary, seed: 3, scale: 3).map { ($0 * 4).rounded() / 4 }
        for count in Set([1, min(10, vocabulary), vocabulary]) {
            for forbidden in [[], Array(Set([Int32(vocabulary / 2), 0]))] as [[Int32]] where forbidden.count < vocabulary {
                let logits = context.tensor(values, rows: 5, columns: vocabulary)
                let rows = TopLogProbabilities.select(context, logits: logits, count: count, forbidden: forbidden)
                #expect(rows.count == 5)
                for (row, candidates) in rows.enumerated() {
                    let expected = Self.naive(
                        Array(values[row * vocabulary..<(row + 1) * vocabulary]), count: count, forbidden: forbidden)
                    #expect(candidates.count == expected.count, "row \(row), \(count) of \(vocabulary)")
                    let mismatch = zip(candidates, expected).first { $0.token != $1.token }
                    #expect(mismatch == nil, "row \(row), \(count) of \(vocabulary)")
                    for (candidate, reference) in zip(candidates, expected) {
                        #expect(abs(Double(candidate.logProbability) - reference.logProbability) < 1e-5)
                    }
                }
            }
        }
    }

    /// Of logits that are computed chunk by chunk: what the whole matrix gives.
    @Test(arguments: [1, 127, 128, 300, 1000], [1, 2]) func ofStates(vocabulary: Int, threads: Int) {
        let context = ComputeContext(threads: threads), rows = 7, d = 24
        let states = context.tensor(normalValues(rows * d, seed: 1), rows: rows, columns: d)
        let matrix = context.tensor(normalValues(vocabulary * d, seed: 2), rows: vocabulary, columns: d)
        let weights = PackedWeights(context, matrix)
        for forbidden in [[], [Int32(vocabulary - 1), Int32(vocabulary / 2)]] as [[Int32]] where forbidden.count < vocabulary {
            let logits = context.uninitialized(rows, vocabulary)
            weights.multiply(context, x: states, into: logits)
            let count = min(10, vocabulary)
            let expected = TopLogProbabilities.select(context, logits: logits, count: count, forbidden: forbidden)
            #expect(
                TopLogProbabilities.select(context, states: states, weights: weights, count: count, forbidden: forbidden)
                    == expected)
            // Alone a row has the same.
            #expect(
                TopLogProbabilities.select(
                    context, states: states.rows(3..<4), weights: weights, count: count, forbidden: forbidden) == [expected[3]])
        }
    }

    @Test func betweenEqualLogitsTheLowerToken() {
        let context = ComputeContext(threads: 1)
        let logits = context.zeros(1, 130)
        let best = TopLogProbabilities.select(context, logits: logits, count: 3, forbidden: [1])[0]
        #expect(best.map(\.token) == [0, 2, 3])
    }

    /// Where fewer tokens are allowed than asked for, there are fewer.
    @Test func forbiddenTokensAreNeverChosen() {
        let context = ComputeContext(threads: 1)
        let logits = context.tensor([1, 5, 2, 4], rows: 1, columns: 4)
        let best = TopLogProbabilities.select(context, logits: logits, count: 4, forbidden: [1, 3])[0]
        #expect(best.map(\.token) == [2, 0])
        #expect(abs(best.reduce(0) { $0 + exp($1.logProbability) } - 1) < 1e-6)
    }

    @Test func noRows() {
        let context = ComputeContext(threads: 1)
        #expect(TopLogProbabilities.select(context, logits: context.zeros(0, 4), count: 2, forbidden: []).isEmpty)
    }

    /// Large logits do not overflow.
    @Test func extremeLogits() {
        let context = ComputeContext(threads: 1)
        let logits = context.tensor([-1e4, 1e4, 1e4 - 1], rows: 1, columns: 3)
        let best = TopLogProbabilities.select(context, logits: logits, count: 2, forbidden: [])[0]
        #expect(best.map(\.token) == [1, 2])
        #expect(abs(best[0].logProbability + log(1 + exp(-1))) < 1e-3)
    }
}
