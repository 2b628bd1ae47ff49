import Foundation
import TensorCore

/// Draws other segmentations of a sentence than the best, so that training sees words in many pieces (Kudo 2018, "Subword
/// regularization").
///
/// A segmentation x of a word has probability ∝ P(x)^α, P the product of its pieces' probabilities: forward sums over all
/// segmentations, then pieces drawn from the end. Words are drawn one by one, since no piece goes over a space. The draws are
/// keyed, so that a sentence comes out the same on any rank, and again after resuming.
public struct SubwordSampler: Sendable {
    /// α: 0 draws evenly among all segmentations, 1 by the model's probability; large values give the best one.
    public let alpha: Double
    private let scores: [Double]
    private let pieces: [[UInt8]]
    /// Tokens that begin a word.
    private let beginsWord: [Bool]
    private let trie: PieceTrie

    public init(tokenizer: Tokenizer, alpha: Double) {
        self.alpha = alpha
        // Others (unknown, control, bytes) are no text: they stay as they are.
        let isText = (0..<Int32(tokenizer.vocabularySize)).map { tokenizer.isText($0) }
        pieces = isText.enumerated().map { $1 ? Array(tokenizer.piece(Int32($0)).utf8) : [] }
        scores = isText.enumerated().map { $1 ? Double(tokenizer.score(Int32($0))) : 0 }
        beginsWord = pieces.map { $0.starts(with: "▁".utf8) }
        trie = PieceTrie(pieces)
    }

    /// Another segmentation of the same text.
    public func resample(_ sentence: [Int32], key: RandomKey) -> [Int32] {
        var output: [Int32] = []
        var word: [UInt8] = []
        var draws = 0
        func close() {
            if !word.isEmpty { draw(word, key, &draws, &output) }
            word.removeAll(keepingCapacity: true)
        }
        for token in sentence {
            let bytes = pieces[Int(token)]
            if bytes.isEmpty || beginsWord[Int(token)] { close() }
            if bytes.isEmpty { output.append(token) } else { word += bytes }
        }
        close()
        return output
    }

    /// Appends a drawn segmentation of a word. It has one, for its text was put together from pieces.
    private func draw(_ word: [UInt8], _ key: RandomKey, _ draws: inout Int, _ output: inout [Int32]) {
        var arcs: [(begin: Int, end: Int, token: Int32)] = []
        // ln of the sum over all segmentations up to a byte.
        var forward = [Double](repeating: -.infinity, count: word.count + 1)
        forward[0] = 0
        for begin in word.indices where forward[begin] > -.infinity {
            var node = PieceTrie.root
            for end in (begin + 1)...word.count {
                node = trie.child(node, word[end - 1])
                guard node != PieceTrie.none else { break }
                let token = trie.token(node)
                guard token >= 0 else { continue }
                arcs.append((begin, end, token))
                forward[end] = Self.sum(forward[end], forward[begin] + alpha * scores[Int(token)])
            }
        }
        let first = output.count
        var end = word.count
        while end > 0 {
            var left = Double(key.uniform(draws))
            draws += 1
            var chosen: (begin: Int, token: Int32)?
            for arc in arcs where arc.end == end && forward[arc.begin] > -.infinity {
                chosen = (arc.begin, arc.token)
                left -= exp(forward[arc.begin] + alpha * scores[Int(arc.token)] - forward[end])
                if left <= 0 { break }
            }
            guard let chosen else { preconditionFailure("a word of pieces must have a segmentation") }
            output.append(chosen.token)
            end = chosen.begin
        }
        output[first...].reverse()
    }

    private static func sum(_ a: Double, _ b: Double) -> Double {
        let larger = max(a, b)
        return larger + log(1 + exp(min(a, b) - larger))
    }
}
