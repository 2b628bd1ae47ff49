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
    private let buckets: ByPlacement<GradientBuckets>

    /// Bytes of a bucket.
    public static let bucketBytes = 4 << 20

    /// For updates of `tokenGroups` groups. Every rank makes one at the same time.
    public init(
        groups: ParallelGroups, store: ParameterStore, context: ComputeContext, tokenGroups: Int, isSharded: Bool = false,
        bucketBytes: Int = GradientSynchronizer.bucketBytes
    ) throws {
        self.groups = groups
        self.store = store
        self.context = context
        self.isSharded = isSharded
        let shares = ByPlacement {
            ParameterShares(of: store, $0, over: groups.holders($0).size)
        }
        self.shares = shares
        buckets = try ByPlacement { placement in
            let holders = groups.holders(placement), tree = TokenGroupTree(groups: tokenGroups)
            let sources = groups.layout.sources(placement).map { $0.map { tree.groups(ofRank: $0, of: groups.world.size) } }
            return GradientBuckets(
                placement, of: store, over: holders.size > 1 ? try holders.duplicate() : holders, sources: sources, tree: tree,
                shares: shares[placement], isSharded: isSharded, elements: bucketBytes / MemoryLayout<Float>.stride, context)
        }
    }

    /// To be called before and after every operation of an update's last backward: nothing more will be added to the gradients
    /// of `parameters`, which are others in each call. Ranks may call it with them in any order.
    public func advance(final parameters: [Parameter]) throws {
        for parameter in parameters where parameter.isTrained { buckets[parameter.placement].finish(parameter) }
        guard ParameterPlacement.allCases.contains(where: { buckets[$0].isBusy }) else { return }
        try context.clock.measure(.communication, "gradient sums under way") {
            for placement in ParameterPlacement.allCases { try buckets[placement].advance() }
        }
    }

    /// To be called after each round of token groups but the last.
    public func endRound() {
        for placement in ParameterPlacement.allCases { buckets[placement].partials.endRound() }
    }

    /// Completes the sums of all gradients.
    public func sum() throws {
        for placement in ParameterPlacement.allCases { try buckets[placement].complete() }
    }

    /// The norm of the whole model's gradient after `sum`: every parameter that is trained counts once, whatever the number of
    /// copies. Each rank looks at its share. Sums of chunks are added without rounding: which rank has which chunk changes no bit.
    public func norm() throws -> Double {
        var squares = ExactSum()
        for placement in ParameterPlacement.allCases {
            let own = shares[placement].ranges[groups.holders(placement).rank]
            let starts = store.chunkStarts(placement).filter(own.contains)
            let chunks = zip(starts, starts.dropFirst() + [own.upperBound]).map { $0..<$1 }
            let gradients = store.section(placement).gradients.buffer
            for sum in Elementwise.sumsOfSquares(context, gradients, chunks: chunks) { squares += sum }
        }
        var counts = squares.counts
        try groups.world.allReduce(&counts, .sum)
        squares.counts = counts
        return squares.value.squareRoot()
    }

    /// Brings every rank the values that the others have updated, where each updates its share alone.
    public func gatherValues() throws {
        for placement in ParameterPlacement.allCases where groups.holders(placement).size > 1 {
            let section = store.section(placement)
            guard section.trained > 0 else { continue }
            try groups.holders(placement).allGather(
                .init(rebasing: section.values.buffer[..<section.trained]), counts: shares[placement].ranges.map(\.count))
        }
    }
}
