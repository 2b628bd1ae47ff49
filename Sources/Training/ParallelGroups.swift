import Collectives
import MixtureOfExperts

/// The communicators of a rank: the world, its expert-parallel group, and its replicas.
public struct ParallelGroups {
    public let layout: ParallelLayout
    public let world: any Communicator
    /// The ranks that share one copy of the experts with this one.
    public let experts: any Communicator
    /// The ranks that hold the same experts as this one.
    public let replicas: any Communicator

    public init(world: any Communicator, expertParallel: Int?, strata: [Int]) throws {
        layout = try ParallelLayout(ranks: world.size, expertParallel: expertParallel, strata: strata)
        self.world = world
        experts = try world.split(color: layout.replica(ofRank: world.rank), key: world.rank)
        replicas = try world.split(color: layout.place(ofRank: world.rank), key: world.rank)
    }

    public var place: Int { layout.place(ofRank: world.rank) }
    public var replica: Int { layout.replica(ofRank: world.rank) }
}
