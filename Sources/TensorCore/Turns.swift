import Foundation

/// Work of a rank in several pieces, each on a thread of its own, of which one runs at a time: where it would wait for peers it hands
/// the turn on, and the next computes meanwhile. The order is fixed, from the first piece to the last and again, without those that
/// have ended: ranks whose pieces hand on at the same places meet their peers in the same order.
public final class Turns: @unchecked Sendable {
    /// Why a piece is not gone on with: another one has failed.
    public struct Abandoned: Error {}

    private let condition = NSCondition()
    /// Told, by its thread, which piece goes on.
    private let onTurn: (Int) -> Void
    // Guarded by the condition.
    private var current = 0
    private var hasEnded: [Bool]
    private var isAbandoned = false

    public init(pieces: Int, onTurn: @escaping (Int) -> Void) {
        hasEnded = [Bool](repeating: false, count: pieces)
        self.onTurn = onTurn
    }

    /// Runs a piece on the calling thread, from its first turn on; nothing but it may be left of it when `body` returns. If it throws,
    /// the others end at their next turn.
    public func run<Value>(_ piece: Int, _ body: () throws -> Value) throws -> Value {
        do {
            try awaitTurn(of: piece)
            let value = try body()
            end(piece, failing: false)
            return value
        } catch {
            end(piece, failing: true)
            throw error
        }
    }

    /// Called by the piece whose turn it is; returns at its next.
    ///
    /// - Throws: `Abandoned`.
    public func handOver() throws {
        condition.lock()
        let piece = current
        passOn()
        condition.unlock()
        try awaitTurn(of: piece)
    }

    /// To be called for a piece that nobody can run, or that has no more to do.
    public func end(_ piece: Int, failing: Bool) {
        condition.lock()
        hasEnded[piece] = true
        if failing { isAbandoned = true }
        if current == piece { passOn() }
        condition.unlock()
    }

    private func awaitTurn(of piece: Int) throws {
        condition.lock()
        while current != piece { condition.wait() }
        let isAbandoned = isAbandoned
        condition.unlock()
        if isAbandoned { throw Abandoned() }
        onTurn(piece)
    }

    private func passOn() {
        let next = hasEnded.indices.map { (current + 1 + $0) % hasEnded.count }.first { !hasEnded[$0] }
        guard let next, next != current else { return }
        current = next
        condition.broadcast()
    }
}
