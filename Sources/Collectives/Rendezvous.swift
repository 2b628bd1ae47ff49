/// One collective operation of simulated ranks: where they meet, and the work that is to be done once all are there.
///
/// The work is cut into pieces, and any rank that waits takes the next one: ranks that arrive late, or that poll instead
/// of waiting, delay nobody. All fields are guarded by the world's lock; `perform` runs outside it.
final class Rendezvous {
    /// What a rank brings along. Its buffers are valid until the rank leaves the rendezvous.
    struct Contribution {
        var sent: UnsafeRawPointer?
        var received: UnsafeMutableRawPointer?
        var rows: RowPart?
        /// Copies of the rank's buffers, for an operation that the rank does not wait in.
        var staging: [StagingBuffer] = []
        var color = 0
        var key = 0
    }

    /// What is to be done with everybody's contributions.
    struct Work {
        var pieces = 0
        /// Does one piece; pieces may run at the same time on several threads.
        var perform: (Int) -> Void = { _ in }
        /// The group that each member gets from an operation that makes communicators.
        var groups: [SimulatedGroup] = []
    }

    let signature: OperationSignature
    /// The members' ranks in the world, in group order.
    let members: [Int]
    /// One a member, nil until it has arrived.
    private(set) var contributions: [Contribution?]
    private var arrivals = 0
    private(set) var work = Work()
    /// Everyone has arrived with contributions that fit together: the operation will be complete, whatever happens.
    private(set) var isUnderWay = false
    private var taken = 0
    private var done = 0

    init(signature: OperationSignature, members: [Int]) {
        self.signature = signature
        self.members = members
        contributions = Array(repeating: nil, count: members.count)
    }

    var everyoneArrived: Bool { arrivals == members.count }
    var isComplete: Bool { isUnderWay && done == work.pieces }

    /// The members, by rank in the world, that have not arrived.
    var missing: [Int] { members.indices.filter { contributions[$0] == nil }.map { members[$0] } }

    func arrive(_ position: Int, _ contribution: Contribution) {
        precondition(contributions[position] == nil, "a rank arrives once")
        contributions[position] = contribution
        arrivals += 1
    }

    func begin(_ work: Work) {
        self.work = work
        isUnderWay = true
    }

    /// The next piece that nobody has taken, if any.
    func takePiece() -> Int? {
        guard isUnderWay, taken < work.pieces else { return nil }
        defer { taken += 1 }
        return taken
    }

    func finishPiece() { done += 1 }
}
