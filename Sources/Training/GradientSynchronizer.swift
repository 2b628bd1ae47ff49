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
    private let shares: ByPlacement<ParameterShares>
    /// Nil where no other rank holds the parameters.
    private let buckets: ByPlacement<GradientBuckets?>

    /// Bytes of a bucket.
    public static let bucketBytes = 4 << 20

    /// Every rank makes one at the same time.
    public init(
        groups: ParallelGroups, store: ParameterStore, context: ComputeContext, isSharded: Bool = false,
        bucketBytes: Int = GradientSynchronizer.bucketBytes
    ) throws {
        self.groups = groups
        self.store = store
        self.context = context
        self.isSharded = isSharded
        let shares = ByPlacement {
            ParameterShares(of: store.section($0).values.count, over: groups.holders($0).size)
        }
        self.shares = shares
        buckets = try ByPlacement { placement in
            let holders = groups.holders(placement)
            guard holders.size > 1 else { return nil }
            return GradientBuckets(
                placement, of: store, over: try holders.duplicate(), shares: shares[placement], isSharded: isSharded,
                elements: bucketBytes / MemoryLayout<Float>.stride)
        }
    }

    /// To be called before and after every operation of an update's last backward: nothing more will be added to the gradients
    /// of `parameters`, which are others in each call. Ranks may call it with them in any order.
    public func advance(final parameters: [Parameter]) throws {
        for parameter in parameters { buckets[parameter.placement]?.finish(parameter) }
        guard ParameterPlacement.allCases.contains(where: { buckets[$0]?.isBusy == true }) else { return }
        try context.clock.measure(.communication, "gradient sums under way") {
            for placement in ParameterPlacement.allCases { try buckets[placement]?.advance() }
        }
    }

    /// Completes the sums of all gradients.
    public func sum() throws {
        for placement in ParameterPlacement.allCases { try buckets[placement]?.complete() }
    }

    /// The norm of the whole model's gradient after `sum`: every parameter counts once, whatever the number of copies. Each
    /// rank looks at its share, also where it has all: so the bits do not depend on whether the optimizer is sharded.
    public func norm() throws -> Double {
        let squares = ParameterPlacement.allCases.reduce(0) { sum, placement in
            let own = shares[placement].ranges[groups.holders(placement).rank]
            let gradients = UnsafeBufferPointer(rebasing: store.section(placement).gradients.buffer[own])
            return sum + Elementwise.sumOfSquares(context, gradients)
        }
        return try groups.world.allReduce(squares, .sum).squareRoot()
    }

    /// Brings every rank the values that the others have updated, where each updates its share alone.
    public func gatherValues() throws {
        for placement in ParameterPlacement.allCases where groups.holders(placement).size > 1 {
            try groups.holders(placement).allGather(
                store.section(placement).values.buffer, counts: shares[placement].ranges.map(\.count))
        }
    }
}
