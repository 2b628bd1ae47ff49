import Autograd
import NeuralLayers
import TensorCore

/// What the decoder's layers remember for the hypotheses of a search, and what each row of the step under way sees of it.
///
/// Each row of a step takes a slot in every layer; a hypothesis is the list of its ancestors' slots, and nothing moves when
/// hypotheses change places. A slot that no row of a step sees any more is free for that step's rows.
final class DecoderCache {
    /// Each layer's keys and values of earlier positions.
    let own: [AttentionCache]
    /// The slots of the step under way, a slot a row.
    private(set) var slots: [Int32] = []
    /// By row of the step under way: the slots of its hypothesis, its own at last.
    private(set) var seen = SeenSlots()
    /// The position of each row of the step under way.
    private(set) var positions: [Int] = []
    private var rows: [DecodingRow] = []
    private var numbers = SlotNumbers()
    private var sentences: [Int: Sentence] = [:]
    private var begun = 0

    private struct Sentence {
        /// By layer, [T, 2 d]: keys and values of all tokens of the sentences that began together.
        let memory: [Tensor]
        /// The rows that are this sentence's.
        let tokens: Range<Int>
    }

    init(_ context: ComputeContext, layers: Int, dim: Int) {
        own = (0..<layers).map { _ in AttentionCache(context, dim: dim) }
    }

    /// Takes in sentences and what every layer's attention remembers of them; returns their numbers.
    func begin(_ segments: Segments, memory: [Tensor]) -> Range<Int> {
        let numbers = begun..<begun + segments.count
        begun += segments.count
        for (index, number) in numbers.enumerated() {
            sentences[number] = Sentence(memory: memory, tokens: segments.range(index))
        }
        return numbers
    }

    /// Gives each row its slot, and finds what it sees.
    func beginStep(_ rows: [DecodingRow]) {
        let before = seen
        (slots, seen, self.rows) = ([], SeenSlots(), rows)
        numbers.freeAll(butThoseOf: rows.compactMap(\.parent), in: before)
        for row in rows {
            precondition(sentences[row.sentence] != nil, "sentence \(row.sentence) has ended, or has not begun")
            let slot = numbers.take()
            slots.append(slot)
            seen.append(row: row.parent, of: before, then: slot)
        }
        positions = rows.indices.map { seen[$0].count - 1 }
    }

    /// The source tokens that each row of the step under way sees in a layer.
    func memory(layer: Int) -> CachedAttentionKernel.Spans {
        var starts: [UnsafePointer<Float>] = [], counts: [Int] = [], width = 0
        for row in rows {
            guard let sentence = sentences[row.sentence] else { preconditionFailure("checked when the step began") }
            let tensor = sentence.memory[layer]
            width = tensor.columns
            starts.append(UnsafePointer(tensor.row(sentence.tokens.lowerBound)))
            counts.append(sentence.tokens.count)
        }
        return CachedAttentionKernel.Spans(starts: starts, counts: counts, stride: width, valueOffset: width / 2)
    }

    func end(_ sentence: Int) { sentences[sentence] = nil }
}

/// Numbers from 0 on, of which the lowest free one is taken first.
private struct SlotNumbers {
    /// Descending.
    private var free: [Int32] = []
    private var next: Int32 = 0

    mutating func take() -> Int32 {
        if let slot = free.popLast() { return slot }
        defer { next += 1 }
        return next
    }

    mutating func freeAll(butThoseOf rows: [Int], in seen: SeenSlots) {
        var isSeen = [Bool](repeating: false, count: Int(next))
        for row in rows { for slot in seen[row] { isSeen[Int(slot)] = true } }
        free = (0..<next).reversed().filter { !isSeen[Int($0)] }
    }
}
