import Collectives
import Glibc
import TensorCore

extension ComputeContext {
    /// Runs `body` for pieces 0 ..< count, in turns where there are several: piece 0 on the calling thread, each other on one of
    /// its own. `onTurn` is told which piece goes on. Returns what they give, in their order.
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
            let pieces = (0..<count).map { piece in ThreadOutcome { try turns.run(piece) { try body(piece) } } }
            let threads = pieces.indices.dropFirst().map { piece in
                let outcome = pieces[piece]
                let thread = SystemThread(stackSize: SystemThread.rankStackSize) { outcome.run() }
                if thread == nil {
                    outcome.fail(Self.noThread(rank))
                    turns.end(piece, failing: true)
                }
                return thread
            }
            pieces[0].run()
            for thread in threads { thread?.join() }
            let results = pieces.map { $0.result! }
            for case let .failure(error) in results where !(error is Turns.Abandoned) { throw error }
            return try results.map { try $0.get() }
        }
    }

    private static func noThread(_ rank: Int) -> CollectiveError {
        .transport(
            operation: "train", rank: rank,
            detail: "the system refuses a thread for a second token group (\(String(cString: strerror(errno)))); "
                + "set parallel.interleave to off")
    }
}
