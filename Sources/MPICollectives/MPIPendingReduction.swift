import Collectives

/// A reduction under way, by messages between each two ranks: every rank sends each peer the pieces that the peer combines, and
/// combines its own, in the reduction's order, as soon as all peers' have come. In an all-reduce it then sends the result to all.
///
/// Each rank sends and receives (W − 1) / W of the buffer, in an all-reduce twice: the least there can be.
final class MPIPendingReduction: MPIOperation {
    private let reduction: Reduction
    private let order: ReductionOrder
    /// What of the result each rank combines.
    private let results: [UnsafeMutableRawBufferPointer]
    private let tag: Int32
    /// The buffers that this rank's piece is combined from, in rank order: its own in place.
    private var buffers: [UnsafeMutableRawPointer] = []
    /// Whether the result is still to be brought to all.
    private var isToBeGathered: Bool
    private var isCombined = false

    /// `tag` is a reduction's own among those under way on the communicator, and the same on all ranks.
    init(
        _ name: String, on communicator: MPICommunicator, _ reduction: Reduction, _ order: ReductionOrder,
        contributions: [[UnsafeMutableRawBufferPointer]], results: [UnsafeMutableRawBufferPointer], gathersResult: Bool,
        tag: Int32
    ) throws {
        self.reduction = reduction
        self.order = order
        self.results = results
        self.tag = tag
        isToBeGathered = gathersResult
        super.init(name, on: communicator)
        let rank = communicator.rank, own = results[rank].count
        if own > 0 {
            for (source, count) in order.counts.enumerated() {
                buffers += (0..<count).map {
                    source == rank ? contributions[$0][rank].baseAddress! : session.staging.take(own)
                }
            }
        }
        try begin {
            try communicator.exchange(
                of: self, tag: tag, send: { peer in contributions.map { UnsafeRawBufferPointer($0[peer]) } },
                receive: { peer in
                    buffers.isEmpty
                        ? [] : range(of: peer).map { UnsafeMutableRawBufferPointer(start: buffers[$0], count: own) }
                })
        }
    }

    override func next() throws -> Bool {
        if !isCombined { combine() }
        isCombined = true
        guard isToBeGathered else { return false }
        isToBeGathered = false
        let own = UnsafeRawBufferPointer(results[communicator.rank])
        try communicator.exchange(of: self, tag: tag, send: { _ in [own] }, receive: { [results[$0]] })
        return true
    }

    /// The buffers that a rank contributes.
    private func range(of rank: Int) -> Range<Int> {
        let first = order.counts[..<rank].reduce(0, +)
        return first..<first + order.counts[rank]
    }

    private func combine() {
        let own = results[communicator.rank]
        guard !buffers.isEmpty else { return }
        reduction.combine(buffers, order, count: own.count / reduction.element.stride, into: own.baseAddress!)
        for peer in communicator.peers {
            for buffer in range(of: peer) { session.staging.give(buffers[buffer], own.count) }
        }
        buffers = []
    }
}
