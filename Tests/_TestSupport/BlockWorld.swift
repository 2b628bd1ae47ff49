import Autograd
import Collectives
import MixtureOfExperts
import TensorCore

/// A number of ranks, and how they share the experts of a block.
public struct BlockWorld: Sendable, CustomStringConvertible {
    public let ranks: Int
    public let strata: [Int]
    public let expertParallel: Int?
    public var description: String { "\(ranks) ranks, strata \(strata), expert-parallel \(expertParallel ?? 0)" }

    public init(ranks: Int, strata: [Int], expertParallel: Int? = nil) {
        self.ranks = ranks
        self.strata = strata
        self.expertParallel = expertParallel
    }

    /// One of each kind: uneven shards, replicas, a stratum with an expert a rank, no expert parallelism at all.
    public static let all = [
        BlockWorld(ranks: 2, strata: [3, 4]), BlockWorld(ranks: 3, strata: [3, 4]),
        // Two groups of two: replicas.
        BlockWorld(ranks: 4, strata: [3, 4]), BlockWorld(ranks: 4, strata: [2, 3, 2], expertParallel: 2),
        BlockWorld(ranks: 4, strata: [5, 4], expertParallel: 4), BlockWorld(ranks: 3, strata: [4], expertParallel: 1),
    ]
    /// One with uneven shards, and one with replicas.
    public static let few = [all[1], all[3]]

    /// Sizes of the token groups, one per rank: group 1 is empty.
    public static let groupSizes = [17, 0, 5, 11]

    private static func train(_ tiny: TinyBlock, group: Int) throws -> TinyBlock.Result {
        let x = tiny.tokens(groupSizes[group], seed: UInt64(100 + group))
        let dy = tiny.tokens(groupSizes[group], seed: UInt64(200 + group))
        return try tiny.train(x, doutput: dy, lossScale: 0.3, key: RandomKey(seed: 7).derived(group))
    }

    /// Checks that token group g on rank g gives what one rank gets from all groups, dropout and all draws included: outputs,
    /// visits, statistics, every figure, and the sums of all gradients. Returns one rank's results by group.
    ///
    /// - Throws: `Disagreement`.
    @discardableResult
    public func expectOneRank(_ configuration: MixtureConfiguration) throws -> [TinyBlock.Result] {
        let expected = try alone { communicator in
            let tiny = try TinyBlock(configuration, group: communicator, dropout: 0.2)
            let results = try (0..<ranks).map { try Self.train(tiny, group: $0) }
            try tiny.store.handOnGradients(tiny.context, experts: communicator, partSize: communicator.size)
            return (results: results, gradients: try tiny.store.gradients())
        }
        _ = try SimulatedCluster.run(ranks: ranks) { communicator in
            let layout = try ParallelLayout(ranks: communicator.size, expertParallel: expertParallel, strata: strata)
            let rank = communicator.rank, one = expected.results[rank]
            let group = try communicator.split(color: layout.replica(ofRank: rank), key: rank)
            let replicas = try communicator.split(color: layout.place(ofRank: rank), key: rank)
            let tiny = try TinyBlock(configuration, group: group, dropout: 0.2)
            let result = try Self.train(tiny, group: rank)
            guard result.visits == one.visits, result.statistics == one.statistics else {
                throw Disagreement("group \(rank) is routed otherwise on \(self)")
            }
            try expectClose(result.output, one.output, tolerance: 1e-6, "output of group \(rank)")
            guard result.figures.map(\.name) == one.figures.map(\.name) else {
                throw Disagreement("figures \(result.figures.map(\.name)), on one rank \(one.figures.map(\.name))")
            }
            for (figure, alone) in zip(result.figures, one.figures) {
                try expectClose([figure.value], [alone.value], tolerance: 1e-6, "\(figure.name) of group \(rank)")
            }
            try expectClose(result.dx, one.dx, tolerance: 3e-6, "dx of group \(rank)")
            try communicator.allReduce(tiny.store.section(.replicated).gradients.buffer, .sum)
            tiny.store.addSources()
            try replicas.allReduce(tiny.store.section(.expert).gradients.buffer, .sum)
            try tiny.store.handOnGradients(tiny.context, experts: group, partSize: group.size)
            for (name, gradient) in try tiny.store.gradients() {
                try expectClose(gradient, expected.gradients[name]!, tolerance: 1e-5, floor: 0.1, name)
            }
        }
        return expected.results
    }
}
