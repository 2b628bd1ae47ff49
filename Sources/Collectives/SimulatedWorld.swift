import Glibc

/// What the simulated ranks of one run share: the lock, who waits where, who has finished, and the first failure.
///
/// One failure ends the whole world, whichever group it happened in: ranks that wait, or will wait, are told.
/// Ranks here are always those of the world, as are those in error messages: the numbers the user knows.
final class SimulatedWorld: @unchecked Sendable {
    private enum Failure {
        case rank(Int, reason: String)
        case mismatch(String)
    }

    let staging = StagingPool()

    private let size: Int
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    /// Conditions, one per rank, so that the end of an operation wakes its members only.
    private let conditions: UnsafeMutablePointer<pthread_cond_t>
    private var waiting: [Rendezvous?]
    private var finished: [Bool]
    private var failure: Failure?
    /// Ranks that were told of the failure: an error they end with is a consequence of it.
    private var told: [Bool]

    init(size: Int) {
        self.size = size
        mutex = .allocate(capacity: 1)
        conditions = .allocate(capacity: size)
        pthread_mutex_init(mutex, nil)
        for rank in 0..<size { pthread_cond_init(conditions + rank, nil) }
        waiting = Array(repeating: nil, count: size)
        finished = Array(repeating: false, count: size)
        told = Array(repeating: false, count: size)
    }

    deinit {
        for rank in 0..<size { pthread_cond_destroy(conditions + rank) }
        pthread_mutex_destroy(mutex)
        conditions.deallocate()
        mutex.deallocate()
    }

    func wasTold(_ rank: Int) -> Bool { locked { told[rank] } }

    /// The rank's body has returned.
    func finish(_ rank: Int) {
        locked {
            finished[rank] = true
            wakeEveryone()
        }
    }

    /// The rank's body has thrown.
    func fail(_ rank: Int, reason: String) {
        locked { fail(.rank(rank, reason: reason)) }
    }

    /// Brings a rank's contribution to the group's operation number `sequence`, without waiting for others. The last
    /// to arrive plans the work; a plan throws `Disagreement` if the contributions do not fit together.
    func arrive(
        _ group: SimulatedGroup, position: Int, sequence: Int, _ signature: OperationSignature,
        _ contribution: Rendezvous.Contribution, plan: ([Rendezvous.Contribution]) throws -> Rendezvous.Work
    ) throws -> Rendezvous {
        try locked {
            let rank = group.members[position]
            try throwFailure(signature, rank)
            let rendezvous = group.rendezvous(sequence, signature)
            if rendezvous.signature != signature {
                let first = rendezvous.contributions.firstIndex { $0 != nil }!
                fail(
                    .mismatch(
                        "rank \(group.members[first]) calls \(rendezvous.signature), rank \(rank) calls \(signature)"))
                try throwFailure(signature, rank)
            }
            rendezvous.arrive(position, contribution)
            if rendezvous.everyoneArrived {
                group.close(sequence)
                do {
                    rendezvous.begin(try plan(rendezvous.contributions.map { $0! }))
                } catch let disagreement as Disagreement {
                    fail(.mismatch("\(signature): \(disagreement.detail)"))
                    try throwFailure(signature, rank)
                }
                wake(rendezvous)
            }
            return rendezvous
        }
    }

    /// Blocks until the operation is complete, doing pieces of its work.
    func wait(for rendezvous: Rendezvous, _ rank: Int) throws {
        pthread_mutex_lock(mutex)
        waiting[rank] = rendezvous
        defer {
            waiting[rank] = nil
            pthread_mutex_unlock(mutex)
        }
        while true {
            work(on: rendezvous)
            if rendezvous.isComplete { return }
            if !rendezvous.isUnderWay {
                detectFinishedMember(rendezvous)
                detectDeadlock()
                try throwFailure(rendezvous.signature, rank)
            }
            pthread_cond_wait(conditions + rank, mutex)
        }
    }

    /// Does what can be done without blocking; true if the operation is complete.
    func poll(_ rendezvous: Rendezvous, _ rank: Int) throws -> Bool {
        try locked {
            work(on: rendezvous)
            if rendezvous.isComplete { return true }
            if !rendezvous.isUnderWay {
                detectFinishedMember(rendezvous)
                try throwFailure(rendezvous.signature, rank)
            }
            return false
        }
    }

    private func locked<Value>(_ body: () throws -> Value) rethrows -> Value {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    /// Takes pieces until there are none; the lock is held on entry and exit, but not in between.
    private func work(on rendezvous: Rendezvous) {
        while let piece = rendezvous.takePiece() {
            let perform = rendezvous.work.perform
            pthread_mutex_unlock(mutex)
            perform(piece)
            pthread_mutex_lock(mutex)
            rendezvous.finishPiece()
            if rendezvous.isComplete { wake(rendezvous) }
        }
    }

    private func wake(_ rendezvous: Rendezvous) {
        for member in rendezvous.members where waiting[member] === rendezvous { pthread_cond_signal(conditions + member) }
    }

    private func wakeEveryone() {
        for rank in 0..<size where waiting[rank] != nil { pthread_cond_signal(conditions + rank) }
    }

    private func fail(_ failure: Failure) {
        guard self.failure == nil else { return }
        self.failure = failure
        wakeEveryone()
    }

    private func throwFailure(_ signature: OperationSignature, _ rank: Int) throws {
        guard let failure else { return }
        told[rank] = true
        switch failure {
        case let .rank(peer, reason):
            throw CollectiveError.peerFailed(operation: signature.name, rank: rank, peer: peer, reason: reason)
        case let .mismatch(detail):
            throw CollectiveError.mismatch(operation: signature.name, rank: rank, detail: detail)
        }
    }

    private func detectFinishedMember(_ rendezvous: Rendezvous) {
        for member in rendezvous.missing where finished[member] {
            fail(.rank(member, reason: "it has finished without taking part in \(rendezvous.signature)"))
        }
    }

    /// Where every rank that still runs waits for others, none will ever arrive.
    private func detectDeadlock() {
        for rank in 0..<size where !finished[rank] {
            guard let rendezvous = waiting[rank], !rendezvous.isUnderWay else { return }
        }
        let places = (0..<size).compactMap { rank in
            waiting[rank].map { "rank \(rank) waits in \($0.signature) for ranks \($0.missing)" }
        }
        fail(.mismatch("no rank can go on: \(places.joined(separator: ", "))"))
    }
}

/// Why the contributions to an operation do not fit together.
struct Disagreement: Error {
    let detail: String
}
