import Collectives
import Glibc
import TensorCore

extension ComputeContext {
    /// Runs `body` for pieces 0 ..< count, in turns where there are several: piece 0 on the calling thread, each other on one of its own.
    /// `onTurn` is told which piece goes on. Returns what they give, in their order.
    ///
    /// - Throws: what the first of the pieces that failed threw; `CollectiveError.transport` where there is no thread for one.
    func inTurns<Value>(_ count: Int, rank: Int, onTurn: @escaping (Int) -> Void, _ body: (Int) throws -> Value) throws
        -> [Value]
    {
        guard count > 1 else { return try (0..<count).map(body) }
        let turns = Turns(pieces: count, onTurn: onTurn)
        self.turns = turns
        defer {
            self.turns = nil
            onTurn(0)
        }
        return try withoutActuallyEscaping(body) { body in
            let pieces = (0..<count).map { piece in Piece(turns, piece, body) }
            let threads = pieces.dropFirst().map { piece in
                let thread = SystemThread(stackSize: SystemThread.rankStackSize) { piece.run() }
                if thread == nil { piece.refuse(Self.noThread(rank)) }
                return thread
            }
            pieces[0].run()
            for thread in threads { thread?.join() }
            let outcomes = pieces.map { $0.outcome! }
            for case let .failure(error) in outcomes where !(error is Turns.Abandoned) { throw error }
            return try outcomes.map { try $0.get() }
        }
    }

    private static func noThread(_ rank: Int) -> CollectiveError {
        .transport(
            operation: "train", rank: rank,
            detail: "the system refuses a thread for a second token group (\(String(cString: strerror(errno)))); "
                + "set parallel.interleave to off")
    }
}

/// One of the pieces; its outcome is read after its thread has been joined.
private final class Piece<Value>: @unchecked Sendable {
    private let turns: Turns
    private let number: Int
    private var body: ((Int) throws -> Value)?
    private(set) var outcome: Result<Value, any Error>?

    init(_ turns: Turns, _ number: Int, _ body: @escaping (Int) throws -> Value) {
        self.turns = turns
        self.number = number
        self.body = body
    }

    func run() {
        outcome = Result { try turns.run(number) { try body!(number) } }
        body = nil
    }

    func refuse(_ error: any Error) {
        outcome = .failure(error)
        body = nil
        turns.end(number, failing: true)
    }
}
