import Collectives

/// A reduction under way, by messages between each two ranks: every rank sends each peer the piece that the peer combines, and
/// combines its own in rank order as soon as all peers' have come. In an all-reduce it then sends the result to all.
///
/// Each rank sends and receives (W − 1) / W of the buffer, in an all-reduce twice: the least there can be.
final class MPIPendingReduction: PendingCollective {
    private enum Step { case exchanging, gathering, complete }

    private let operation: String
    /// Keeps the communicator alive, and with it the handle.
    private let communicator: MPICommunicator
    private let reduction: Reduction
    /// What of the buffer each rank combines.
    private let pieces: [UnsafeMutableRawBufferPointer]
    private let gathersResult: Bool
    private let tag: Int32
    /// Contributions of the ranks to this rank's piece: its own in place.
    private var contributions: [UnsafeMutableRawPointer] = []
    private var requests = MPIRequests()
    private var step = Step.exchanging

    /// `tag` is a reduction's own among those under way on the communicator, and the same on all ranks.
    init(
        _ operation: String, on communicator: MPICommunicator, _ reduction: Reduction,
        pieces: [UnsafeMutableRawBufferPointer], gathersResult: Bool, tag: Int32
    ) throws {
        self.operation = operation
        self.communicator = communicator
        self.reduction = reduction
        self.pieces = pieces
        self.gathersResult = gathersResult
        self.tag = tag
        let own = pieces[communicator.rank]
        if let place = own.baseAddress, own.count > 0 {
            let staging = communicator.session.staging
            contributions = (0..<communicator.size).map { $0 == communicator.rank ? place : staging.take(own.count) }
        }
        try communicator.exchange(
            operation, tag: tag, &requests, send: { .init(pieces[$0]) },
            receive: { .init(start: contributions.isEmpty ? nil : contributions[$0], count: own.count) })
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

    private func combine() {
        let rank = communicator.rank, own = pieces[rank]
        guard !contributions.isEmpty else { return }
        reduction.combine(contributions, count: own.count / reduction.element.stride, into: contributions[rank])
        for peer in communicator.peers { communicator.session.staging.give(contributions[peer], own.count) }
        contributions = []
    }

    private func gather() throws {
        let own = UnsafeRawBufferPointer(pieces[communicator.rank])
        try communicator.exchange(operation, tag: tag, &requests, send: { _ in own }, receive: { pieces[$0] })
    }
}
