import Autograd
import Collectives
import TensorCore

/// Sums gradients over the ranks: dense ones over the world, an expert's over its replicas. Nothing else scales them: the
/// loss is divided once, by the target tokens of the whole update.
///
/// Sums begin while backward goes on. With a sharded optimizer each rank gets those of its share, and all bring each other the
/// values that they have updated.
public final class GradientSynchronizer {
    private let groups: ParallelGroups
    private let store: ParameterStore
    private let context: ComputeContext
    private let isSharded: Bool
    private let shares: [ParameterPlacement: ParameterShares]
    /// Buckets of the placements that more than one rank holds.
    private let buckets: [ParameterPlacement: GradientBuckets]

    /// Bytes of a bucket.
    public static let bucketBytes = 4 << 20
    private static let placements = [ParameterPlacement.replicated, .expert]

    /// Every rank makes one at the same time.
    public init(
        groups: ParallelGroups, store: ParameterStore, context: ComputeContext, isSharded: Bool = false,
        bucketBytes: Int = GradientSynchronizer.bucketBytes
    ) throws {
        self.groups = groups
        self.store = store
        self.context = context
        self.isSharded = isSharded
        var shares: [ParameterPlacement: ParameterShares] = [:], buckets: [ParameterPlacement: GradientBuckets] = [:]
        for placement in Self.placements {
            let holders = groups.holders(placement)
            let share = ParameterShares(of: store.section(placement).values.count, over: holders.size)
            shares[placement] = share
            guard holders.size > 1 else { continue }
            buckets[placement] = GradientBuckets(
                placement, of: store, over: try holders.duplicate(), shares: share, isSharded: isSharded,
                elements: bucketBytes / MemoryLayout<Float>.stride)
        }
        self.shares = shares
        self.buckets = buckets
    }

    /// To be called before and after every operation of an update's last backward: nothing more will be added to the gradients
    /// of `parameters`, which are others in each call. Ranks may call it with them in any order.
    public func advance(final parameters: [Parameter]) throws {
        for parameter in parameters { buckets[parameter.placement]?.finish(parameter) }
        guard buckets.values.contains(where: \.isBusy) else { return }
        try context.clock.measure(.communication, "gradient sums under way") {
            for placement in Self.placements { try buckets[placement]?.advance() }
        }
    }

    /// Completes the sums of all gradients.
    public func sum() throws {
        for placement in Self.placements { try buckets[placement]?.complete() }
    }

    /// The norm of the whole model's gradient after `sum`: every parameter counts once, whatever the number of copies. Each
    /// rank looks at its share, also where it has all: so the bits do not depend on whether the optimizer is sharded.
    public func norm() throws -> Double {
        let squares = Self.placements.reduce(0) { sum, placement in
            let own = shares[placement]!.ranges[groups.holders(placement).rank]
            let gradients = UnsafeBufferPointer(rebasing: store.section(placement).gradients.buffer[own])
            return sum + Elementwise.sumOfSquares(context, gradients)
        }
        return try groups.world.allReduce(squares, .sum).squareRoot()
    }

    /// Brings every rank the values that the others have updated, where each updates its share alone.
    public func gatherValues() throws {
        for placement in Self.placements where groups.holders(placement).size > 1 {
            try groups.holders(placement).allGather(
                store.section(placement).values.buffer, counts: shares[placement]!.ranges.map(\.count))
        }
    }
}
