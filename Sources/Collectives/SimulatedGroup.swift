/// The ranks of one simulated communicator, and the operations that not all of them have joined yet.
///
/// A group's ranks meet by number: each rank's n-th operation meets the others' n-th. Guarded by the world's lock.
final class SimulatedGroup: @unchecked Sendable {
    let world: SimulatedWorld
    /// Ranks in the world, in group order.
    let members: [Int]
    private var open: [Int: Rendezvous] = [:]

    init(world: SimulatedWorld, members: [Int]) {
        self.world = world
        self.members = members
    }

    func rendezvous(_ sequence: Int, _ signature: OperationSignature) -> Rendezvous {
        if let existing = open[sequence] { return existing }
        let rendezvous = Rendezvous(signature: signature, members: members)
        open[sequence] = rendezvous
        return rendezvous
    }

    func close(_ sequence: Int) { open[sequence] = nil }
}
