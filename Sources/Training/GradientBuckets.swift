import Autograd
import Collectives
import TensorCore

/// The gradients of one placement in buckets that are summed one after another over the ranks that hold these parameters.
///
/// Buckets are equal runs of the section from its end to its beginning: about the order in which backward finishes gradients,
/// since parameters are added in forward's. They are the same on all holders and go out in this order, each as soon as it is
/// final, on a communicator of their own. What is added up is the tree over the update's token groups: each holder merges what
/// it has of it, and the rest is merged where the sums are made.
final class GradientBuckets {
    private struct Bucket {
        let range: Range<Int>
        /// Parameters in it, and those whose gradients are not final yet.
        let parameters: Int
        var unfinished: Int
    }

    /// What this rank adds up by itself before it sends: the same for all buckets of an update.
    private struct Merging {
        /// Sums of nodes of the tree, in the order of their groups.
        let buffers: [UnsafeMutableBufferPointer<Float>]
        let steps: [ReductionOrder.Step]
        /// The buffers that are left, to be merged with other ranks'.
        let results: [UnsafeMutableBufferPointer<Float>]

        init(_ partials: GradientPartials, _ tree: TokenGroupTree) {
            let nodes = partials.nodes(), (steps, parts) = tree.merging(nodes.map(\.node))
            buffers = nodes.map(\.elements)
            self.steps = steps
            results = parts.map { nodes[$0.buffer].elements }
        }
    }

    private static let sum = Reduction(operation: .sum, element: .float32)

    private let communicator: any Communicator
    /// What the sums are made of.
    let partials: GradientPartials
    private let tree: TokenGroupTree
    private let order: ReductionOrder
    private let context: ComputeContext
    private let gradients: UnsafeMutableBufferPointer<Float>
    private let shares: ParameterShares
    /// Elements of the section that are shared out: of these a rank gets the sums of its share alone, and of what follows all. Those
    /// are gradients of derived matrices, which every holder hands on to what they are computed of.
    private let sharedOut: Int
    private let elements: Int
    private var buckets: [Bucket] = []
    /// Buckets started; those before are on their way or summed.
    private var started = 0
    /// Nil before the first bucket of an update.
    private var merging: Merging?
    private var underWay: [any PendingCollective] = []

    /// Buckets on their way at a time: the ranks keep copies of their peers' gradients for these.
    private static let mostUnderWay = 8

    /// `sources` are the groups of each source of the communicator's ranks. `elements` is the length of a bucket; the last may be
    /// shorter. Of an all-reduced bucket a rank adds up a part, but most that are reduce-scattered lie in one rank's share: they
    /// are shorter, so that it gets no more from its peers at a time.
    init(
        _ placement: ParameterPlacement, of store: ParameterStore, over communicator: any Communicator,
        sources: [[Range<Int>]], tree: TokenGroupTree, shares: ParameterShares, isSharded: Bool, elements: Int,
        _ context: ComputeContext
    ) {
        self.communicator = communicator
        self.tree = tree
        self.context = context
        partials = GradientPartials(
            store.section(placement), sources: sources[communicator.rank], lanes: store.laneCount, of: tree, context)
        let nodes = sources.map { tree.nodes(of: $0[0].lowerBound..<$0[$0.count - 1].upperBound) }
        let (steps, parts) = tree.merging(nodes.flatMap { $0 })
        order = ReductionOrder(counts: nodes.map(\.count), steps: steps, result: parts[0].buffer)
        self.shares = shares
        sharedOut = isSharded ? store.section(placement).trained : 0
        let elements = isSharded && communicator.size > 1 ? max(16, elements / communicator.size / 16 * 16) : elements
        self.elements = elements
        gradients = store.section(placement).gradients.buffer
        let parameters = store.summed.filter { $0.placement == placement }
        for end in stride(from: gradients.count, to: 0, by: -elements) {
            let range = max(0, end - elements)..<end
            let count = parameters.count { $0.elements.overlaps(range) }
            buckets.append(Bucket(range: range, parameters: count, unfinished: count))
        }
    }

    /// The parameter's gradient is final.
    func finish(_ parameter: Parameter) {
        let range = parameter.elements
        guard !range.isEmpty else { return }
        for index in index(of: range.upperBound - 1)...index(of: range.lowerBound) {
            precondition(buckets[index].unfinished > 0, "\(parameter.slices[0].name): a gradient is final once")
            buckets[index].unfinished -= 1
        }
    }

    private func index(of element: Int) -> Int { (gradients.count - 1 - element) / elements }

    /// Whether `advance` has something to do.
    var isBusy: Bool { !underWay.isEmpty || isNextFinal }

    private var isNextFinal: Bool { started < buckets.count && buckets[started].unfinished == 0 }

    /// Starts the buckets that are final, in order, and moves those that are on their way.
    func advance() throws {
        underWay = try underWay.filter { try !$0.poll() }
        while isNextFinal, underWay.count < Self.mostUnderWay { try start() }
    }

    /// Sums what is left, final or not, and returns when all is summed.
    func complete() throws {
        while started < buckets.count || !underWay.isEmpty {
            while started < buckets.count, underWay.count < Self.mostUnderWay { try start() }
            // In order: a peer may not have begun with the later ones.
            if !underWay.isEmpty { try underWay.removeFirst().wait() }
        }
        started = 0
        merging = nil
        for index in buckets.indices { buckets[index].unfinished = buckets[index].parameters }
        partials.endUpdate()
    }

    private func start() throws {
        let range = buckets[started].range, result = UnsafeMutableBufferPointer(rebasing: gradients[range])
        let merging = merging ?? Merging(partials, tree)
        self.merging = merging
        context.pool.parallelRanges(merging.steps.isEmpty ? 0 : range.count, grain: 1 << 12) { part in
            let elements = range.lowerBound + part.lowerBound..<range.lowerBound + part.upperBound
            Self.sum.combine(merging.buffers.map { UnsafeMutableRawPointer($0.baseAddress!) }, merging.steps, range: elements)
        }
        let contributions = merging.results.map { UnsafeMutableBufferPointer(rebasing: $0[range]) }
        started += 1
        guard communicator.size > 1 else {
            if contributions[0].baseAddress != result.baseAddress { _ = result.update(fromContentsOf: contributions[0]) }
            return
        }
        underWay.append(
            range.upperBound <= sharedOut
                ? try communicator.startReduceScatter(
                    contributions, counts: shares.counts(within: range), .sum, order: order, into: result)
                : try communicator.startAllReduce(contributions, .sum, order: order, into: result))
    }
}
