import Autograd
import NeuralLayers
import TensorCore

/// What the decoder's layers remember for the hypotheses of a search, and what each row of the step under way sees of it.
///
/// Each row that was ever stepped has a slot in every layer; a hypothesis is the list of its ancestors' slots. A sentence's
/// slots are free for others once it has ended.
final class DecoderCache {
    /// The two attentions of a layer.
    struct Layer {
        let own: AttentionCache
        let memory: AttentionCache
    }

    let layers: [Layer]
    /// The slots of the step under way, a slot a row.
    private(set) var slots: [Int32] = []
    /// By row of the step under way: the slots of its hypothesis, its own at last.
    private(set) var own = SeenSlots()
    /// By row of the step under way: the slots of its sentence's memory.
    private(set) var memory = SeenSlots()
    private var ownSlots = SlotNumbers(), memorySlots = SlotNumbers()
    private var sentences: [Int: Sentence] = [:]
    private var begun = 0

    private struct Sentence {
        let memory: [Int32]
        var own: [Int32] = []
    }

    init(_ context: ComputeContext, layers: Int, dim: Int) {
        self.layers = (0..<layers).map { _ in
            Layer(own: AttentionCache(context, dim: dim), memory: AttentionCache(context, dim: dim))
        }
    }

    /// Takes in sentences; returns their numbers, and the slots of all their tokens for what every layer makes of them.
    func begin(_ segments: Segments) -> (sentences: Range<Int>, slots: [Int32]) {
        let numbers = begun..<begun + segments.count
        begun += segments.count
        let slots = (0..<segments.rows).map { _ in memorySlots.take() }
        for (index, number) in numbers.enumerated() {
            sentences[number] = Sentence(memory: Array(slots[segments.range(index)]))
        }
        return (numbers, slots)
    }

    /// Gives each row its slot, and finds what it sees.
    func beginStep(_ rows: [DecodingRow]) {
        let before = own
        (slots, own, memory) = ([], SeenSlots(), SeenSlots())
        for row in rows {
            guard let sentence = sentences[row.sentence] else {
                preconditionFailure("sentence \(row.sentence) has ended, or has not begun")
            }
            let slot = ownSlots.take()
            slots.append(slot)
            sentences[row.sentence]?.own.append(slot)
            own.append((row.parent.map { Array(before[$0]) } ?? []) + [slot])
            memory.append(sentence.memory)
        }
    }

    func end(_ sentence: Int) {
        guard let ended = sentences.removeValue(forKey: sentence) else { return }
        ownSlots.giveBack(ended.own)
        memorySlots.giveBack(ended.memory)
    }
}

/// Numbers from 0 on, of which those given back are taken first.
private struct SlotNumbers {
    private var free: [Int32] = []
    private var next: Int32 = 0

    mutating func take() -> Int32 {
        if let slot = free.popLast() { return slot }
        defer { next += 1 }
        return next
    }

    mutating func giveBack(_ slots: [Int32]) { free.append(contentsOf: slots) }
}
