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
    /// The ranks that hold the same copies of small strata's experts as this one.
    public let copies: any Communicator

    /// For a mixture; nil: a dense model. A collective operation.
    ///
    /// - Throws: `PlacementError` where the ranks cannot be laid out so.
    public init(world: any Communicator, expertParallel: Int?, mixture: MixtureConfiguration?) throws {
        try self.init(world: world, try ParallelLayout(ranks: world.size, expertParallel: expertParallel, mixture: mixture))
    }

    /// For strata of one kind of block.
    public init(world: any Communicator, expertParallel: Int?, strata: [Int]) throws {
        try self.init(world: world, try ParallelLayout(ranks: world.size, expertParallel: expertParallel, strata: strata))
    }

    private init(world: any Communicator, _ layout: ParallelLayout) throws {
        self.layout = layout
        self.world = world
        experts = try world.split(color: layout.replica(ofRank: world.rank), key: world.rank)
        replicas = try world.split(color: layout.place(ofRank: world.rank), key: world.rank)
        copies =
            layout.parts == layout.replicas ? replicas : try world.split(color: world.rank % layout.partSize, key: world.rank)
    }

    public var place: Int { layout.place(ofRank: world.rank) }
    public var replica: Int { layout.replica(ofRank: world.rank) }
}
