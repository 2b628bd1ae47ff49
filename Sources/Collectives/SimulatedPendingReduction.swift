/// A reduction of simulated ranks that is under way. The ranks' copies are combined as soon as all have started it
/// and one of them polls or waits; each fetches the result when it next asks.
final class SimulatedPendingReduction: PendingCollective {
    private let rendezvous: Rendezvous
    private let buffer: UnsafeMutableRawBufferPointer
    /// Bytes of the buffer that this rank gets the result of.
    private let result: Range<Int>
    /// The staging buffer that has it, in rank order.
    private let combined: Int
    private let world: SimulatedWorld
    private let rank: Int
    private var isComplete = false

    init(
        _ rendezvous: Rendezvous, into buffer: UnsafeMutableRawBufferPointer, result: Range<Int>, combined: Int,
        world: SimulatedWorld, rank: Int
    ) {
        self.rendezvous = rendezvous
        self.buffer = buffer
        self.result = result
        self.combined = combined
        self.world = world
        self.rank = rank
    }

    func poll() throws -> Bool {
        if isComplete { return true }
        guard try world.poll(rendezvous, rank) else { return false }
        fetch()
        return true
    }

    func wait() throws {
        if isComplete { return }
        try world.wait(for: rendezvous, rank)
        fetch()
    }

    private func fetch() {
        isComplete = true
        guard let base = buffer.baseAddress else { return }
        let staged = rendezvous.contributions.flatMap { $0!.staging }[combined]
        (base + result.lowerBound).copyMemory(from: staged.bytes + result.lowerBound, byteCount: result.count)
    }
}
