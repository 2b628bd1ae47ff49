import TensorCore
import Testing

@testable import TransformerModel

@Suite struct DecoderCacheTests {
    /// One of three hypotheses goes on at each step, another one each time: what it sees stays, and what the others saw is used
    /// again.
    @Test func slotsOfForgottenHypotheses() {
        let context = ComputeContext()
        let cache = DecoderCache(context, layers: 1, dim: 4)
        let number = cache.begin(Segments(lengths: [2]), memory: [context.zeros(2, 8)]).lowerBound
        cache.beginStep([DecodingRow(token: 5, sentence: number, parent: nil)])
        for step in 1..<30 {
            let parent = step == 1 ? 0 : step % 3, before = Array(cache.seen[parent])
            cache.beginStep((0..<3).map { DecodingRow(token: Int32($0), sentence: number, parent: parent) })
            #expect(cache.positions == [step, step, step])
            for row in 0..<3 { #expect(Array(cache.seen[row]) == before + [cache.slots[row]]) }
            #expect(Set(before + cache.slots).count == step + 3)
            #expect((cache.slots.max() ?? 0) < Int32(step + 5), "a slot each for the path and for two steps' rows is enough")
        }
    }

    /// A sentence that has ended leaves its slots to the others.
    @Test func slotsOfEndedSentences() {
        let context = ComputeContext()
        let cache = DecoderCache(context, layers: 1, dim: 4)
        for _ in 0..<5 {
            let numbers = cache.begin(Segments(lengths: [1, 3]), memory: [context.zeros(4, 8)])
            cache.beginStep(numbers.map { DecodingRow(token: 1, sentence: $0, parent: nil) })
            cache.beginStep(numbers.enumerated().map { DecodingRow(token: 1, sentence: $1, parent: $0) })
            #expect(Set(cache.seen[0] + cache.seen[1]) == [0, 1, 2, 3])
            for number in numbers { cache.end(number) }
        }
    }
}
