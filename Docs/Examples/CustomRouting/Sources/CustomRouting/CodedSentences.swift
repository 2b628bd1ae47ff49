import DataPipeline
import TensorCore

/// Made data: sentences of random words, and their translations into a secret language that has another word for each of ours. A
/// group is a function of its update and index alone, so that it does not matter which rank asks for it.
struct CodedSentences: TokenGroupSource {
    let groups: Int
    let words: Int
    private let sentences = 24, length = 8
    /// Tokens of no language: one begins every sentence, one ends it.
    private let begin: Int32 = 0, end: Int32 = 1

    /// The tokens of the model.
    var vocabulary: Int { words + 2 }

    func group(update: Int, index: Int) -> TokenGroup {
        let key = RandomKey(seed: 7).derived(update).derived(index)
        var source: [Int32] = [], input: [Int32] = [], output: [Int32] = []
        for sentence in 0..<sentences {
            let numbers = (0..<length).map { Int(key.derived(sentence).bits(UInt32($0))) % words }
            let coded = numbers.map { Int32(2 + ($0 * 5 + 3) % words) }
            source += [begin] + numbers.map { Int32(2 + $0) } + [end]
            input += [begin] + coded
            output += coded + [end]
        }
        return TokenGroup(
            index: index,
            batch: SentenceBatch(
                source: source, sourceSegments: Segments(lengths: (0..<sentences).map { _ in length + 2 }),
                targetInput: input, targetOutput: output,
                targetSegments: Segments(lengths: (0..<sentences).map { _ in length + 1 })),
            directions: (0..<sentences).map { _ in 0 })
    }

    func targetTokens(update: Int) -> [Int] { (0..<groups).map { _ in sentences * (length + 1) } }
}
