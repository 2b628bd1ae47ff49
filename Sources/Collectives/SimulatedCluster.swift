import Glibc

/// Ranks as threads of this process. Never as Tasks: ranks block, and a cooperative pool would run out of threads.
public enum SimulatedCluster {
    /// Runs `body` once on each of `ranks` threads, with that rank's communicator over all of them, and returns the
    /// results in rank order.
    ///
    /// If a rank throws, or returns while others wait for it, the others' operations throw `CollectiveError`, and this
    /// function throws once all ranks have ended: the error of the lowest rank that failed for a reason of its own.
    public static func run<Result: Sendable>(
        ranks: Int, _ body: @Sendable (any Communicator) throws -> Result
    ) throws -> [Result] {
        precondition(ranks >= 1, "simulated ranks must be at least 1, but are \(ranks)")
        let world = SimulatedWorld(size: ranks)
        let group = SimulatedGroup(world: world, members: Array(0..<ranks))
        // The threads are joined before this function returns, whatever happens.
        return try withoutActuallyEscaping(body) { body in
            let outcomes = (0..<ranks).map { rank in
                ThreadOutcome { try body(SimulatedCommunicator(group: group, position: rank)) }
            }
            var threads: [SystemThread] = []
            for (rank, outcome) in outcomes.enumerated() {
                let thread = SystemThread(stackSize: SystemThread.rankStackSize) {
                    outcome.run()
                    switch outcome.result! {
                    case .success: world.finish(rank)
                    case let .failure(error): world.fail(rank, reason: "\(error)")
                    }
                }
                guard let thread else {
                    let error = CollectiveError.transport(
                        operation: "run", rank: rank,
                        detail: "the system refuses a thread (\(String(cString: strerror(errno)))); simulate fewer ranks")
                    outcome.fail(error)
                    world.fail(rank, reason: "\(error)")
                    break
                }
                threads.append(thread)
            }
            for thread in threads { thread.join() }
            return try results(outcomes, world)
        }
    }

    private static func results<Result>(_ outcomes: [ThreadOutcome<Result>], _ world: SimulatedWorld) throws -> [Result] {
        var consequence: (any Error)?
        for (rank, outcome) in outcomes.enumerated() {
            guard case let .failure(error) = outcome.result else { continue }
            if !world.wasTold(rank) { throw error }
            consequence = consequence ?? error
        }
        if let consequence { throw consequence }
        return try outcomes.map { try $0.result!.get() }
    }
}
