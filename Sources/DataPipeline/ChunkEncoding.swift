import Dispatch
import Synchronization

/// Some pairs, and their tokens once they are encoded.
final class PairChunk: @unchecked Sendable {
    /// Pairs of a chunk: enough that handing it over costs nothing, few enough to be nothing in memory.
    static let most = 2048

    /// Written by who reads the text, then by none.
    var pairs: [(number: Int, source: String, target: String)] = []
    /// Tokens of source, target, source, …, and how many each has. Written by the one thread that encodes the chunk.
    fileprivate(set) var tokens: [Int32] = []
    fileprivate(set) var counts: [Int] = []
    fileprivate let isDone = DispatchSemaphore(value: 0)
}

/// Encodes chunks on several threads and gives them back in order.
final class ChunkEncoding {
    private let pool: EncoderPool
    private let queue = DispatchQueue(label: "strata.tokenize", attributes: .concurrent)
    private let most: Int
    private var underWay: [PairChunk] = []

    /// `remembersWords`: for a tokenizer that does not normalise text.
    init(tokenizer: Tokenizer, threads: Int, remembersWords: Bool) {
        // Memory for the words of all encoders together, within reason for each.
        let words = remembersWords ? max(50_000, 1_000_000 / threads) : 0
        pool = EncoderPool(tokenizer: tokenizer, threads: threads, words: words)
        // One more waits while each thread has one, and one is being written.
        most = threads + 2
    }

    /// Hands a chunk over, and gives the oldest one, done, if more are under way than threads can take.
    func put(_ chunk: PairChunk) -> PairChunk? {
        underWay.append(chunk)
        let pool = pool
        queue.async {
            let encoder = pool.take()
            encoder.encode(chunk)
            pool.giveBack(encoder)
            chunk.isDone.signal()
        }
        return underWay.count > most ? takeLast() : nil
    }

    /// The oldest chunk under way, when it is done; nil if there is none.
    func takeLast() -> PairChunk? {
        guard !underWay.isEmpty else { return nil }
        let chunk = underWay.removeFirst()
        chunk.isDone.wait()
        return chunk
    }
}

/// As many encoders as threads, of which each is used by one thread at a time.
private final class EncoderPool: @unchecked Sendable {
    private let idle: Mutex<[WordEncoder]>
    private let available: DispatchSemaphore

    init(tokenizer: Tokenizer, threads: Int, words: Int) {
        idle = Mutex((0..<threads).map { _ in WordEncoder(tokenizer: tokenizer, words: words) })
        available = DispatchSemaphore(value: threads)
    }

    func take() -> WordEncoder {
        available.wait()
        return idle.withLock { $0.removeLast() }
    }

    func giveBack(_ encoder: WordEncoder) {
        idle.withLock { $0.append(encoder) }
        available.signal()
    }
}

extension WordEncoder {
    fileprivate func encode(_ chunk: PairChunk) {
        for pair in chunk.pairs {
            for text in [pair.source, pair.target] { chunk.counts.append(append(text, to: &chunk.tokens)) }
        }
    }
}
