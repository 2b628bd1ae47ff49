import Collectives

/// A reduction under way, by messages between each two ranks: every rank sends each peer the pieces that the peer combines, and
/// combines its own, in the reduction's order, as soon as all peers' have come. In an all-reduce it then sends the result to all.
///
/// Each rank sends and receives (W − 1) / W of the buffer, in an all-reduce twice: the least there can be.
final class MPIPendingReduction: PendingCollective {
    private enum Step { case exchanging, gathering, complete }

    private let operation: String
    /// Keeps the communicator alive, and with it the handle.
    private let communicator: MPICommunicator
    private let reduction: Reduction
    private let order: ReductionOrder
    /// What of the result each rank combines.
    private let results: [UnsafeMutableRawBufferPointer]
    private let gathersResult: Bool
    private let tag: Int32
    /// The buffers that this rank's piece is combined from, in rank order: its own in place.
    private var buffers: [UnsafeMutableRawPointer] = []
    private var requests = MPIRequests()
    private var step = Step.exchanging

    /// `tag` is a reduction's own among those under way on the communicator, and the same on all ranks.
    init(
        _ operation: String, on communicator: MPICommunicator, _ reduction: Reduction, _ order: ReductionOrder,
        contributions: [[UnsafeMutableRawBufferPointer]], results: [UnsafeMutableRawBufferPointer], gathersResult: Bool,
        tag: Int32
    ) throws {
        self.operation = operation
        self.communicator = communicator
        self.reduction = reduction
        self.order = order
        self.results = results
        self.gathersResult = gathersResult
        self.tag = tag
        let rank = communicator.rank, own = results[rank].count
        if own > 0 {
            for (source, count) in order.counts.enumerated() {
                buffers += (0..<count).map {
                    source == rank ? contributions[$0][rank].baseAddress! : communicator.session.staging.take(own)
                }
            }
        }
        try communicator.exchange(
            operation, tag: tag, &requests, send: { peer in contributions.map { UnsafeRawBufferPointer($0[peer]) } },
            receive: { peer in
                buffers.isEmpty ? [] : range(of: peer).map { UnsafeMutableRawBufferPointer(start: buffers[$0], count: own) }
            })
        communicator.session.begin(self)
    }

    func poll() throws -> Bool {
        communicator.session.requireUsable(operation)
        return try advance()
    }

    func wait() throws {
        communicator.session.requireUsable(operation)
        while step != .complete { try communicator.session.advanceReductions() }
    }

    /// Does what can be done without blocking; true once complete.
    func advance() throws -> Bool {
        while step != .complete {
            guard try requests.test(communicator.session, operation) else { return false }
            if step == .exchanging {
                combine()
                if gathersResult { try gather() }
                step = gathersResult ? .gathering : .complete
            } else {
                step = .complete
            }
            if step == .complete { communicator.session.end(self) }
        }
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
            for buffer in range(of: peer) { communicator.session.staging.give(buffers[buffer], own.count) }
        }
        buffers = []
    }

    private func gather() throws {
        let own = UnsafeRawBufferPointer(results[communicator.rank])
        try communicator.exchange(operation, tag: tag, &requests, send: { _ in [own] }, receive: { [results[$0]] })
    }
}
