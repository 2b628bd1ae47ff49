import Autograd
import Collectives
import TensorCore

/// The gradients of one placement while an update goes on: those of the token groups that run now, source by source and lane by
/// lane, and the sums of earlier ones, as nodes of the update's tree. There are at most two sums for each level of the tree and
/// source.
final class GradientPartials {
    /// A sum of earlier groups.
    private struct Sum {
        let node: TokenGroupTree.Node
        let elements: Tensor
    }

    /// Elements that are added up in one go: they stay in a core's cache.
    private static let block = 4096

    private let tree: TokenGroupTree
    /// The groups of each source, from the first on as many in a round as there are lanes.
    private let sources: [Range<Int>]
    /// By source, then by lane, gradients of its groups of this round.
    private let leaves: [Tensor]
    private let lanes: Int
    private let context: ComputeContext
    /// By source, from the first groups on.
    private var sums: [[Sum]]
    /// Memory of sums that have been merged, for others.
    private var free: [Tensor] = []
    /// Groups of a source, or rounds without one, that have been added to the sums.
    private var done = 0

    /// `sources` in the order of their groups.
    init(
        _ section: ParameterStore.Section, sources: [Range<Int>], lanes: Int, of tree: TokenGroupTree, _ context: ComputeContext
    ) {
        precondition(section.leaves.count == sources.count * lanes, "a section has gradients of every source and lane")
        self.tree = tree
        self.sources = sources
        leaves = section.leaves
        self.lanes = lanes
        self.context = context
        sums = sources.map { _ in [] }
    }

    /// The groups of a source that run now, by lane, and their gradients.
    private func running(_ source: Int) -> [(group: Int, leaf: Tensor)] {
        zip(sources[source].dropFirst(done), leaves[source * lanes..<(source + 1) * lanes]).map { ($0, $1) }
    }

    /// To be called when a round's gradients are complete, unless it is the update's last: adds them to the sums of earlier
    /// rounds, and makes them zero.
    func endRound() {
        for source in sources.indices {
            for (group, leaf) in running(source) { add(leaf, of: group, source) }
        }
        done += lanes
    }

    private func add(_ leaf: Tensor, of group: Int, _ source: Int) {
        let (steps, parts) = tree.merging(sums[source].map(\.node) + [tree.leaf(group)])
        // The leaf is the last buffer: it is added to what it meets, from the last sum on.
        let merged = sums[source].suffix(steps.count).map(\.elements),
            target = merged.first ?? free.popLast() ?? uninitialized()
        add(leaf, to: merged.reversed(), into: target)
        free += merged.dropFirst()
        sums[source] = sums[source].dropLast(steps.count) + [Sum(node: parts[parts.count - 1].node, elements: target)]
    }

    private func uninitialized() -> Tensor { context.uninitialized(1, leaves[0].count) }

    /// target ← … + (sums[1] + (sums[0] + leaf)), and the leaf becomes zero.
    private func add(_ leaf: Tensor, to sums: [Tensor], into target: Tensor) {
        let (leaf, target, sums) = (leaf.pointer, target.pointer, sums.map(\.pointer))
        context.pool.parallelFor((leaves[0].count + Self.block - 1) / Self.block) { block in
            let begin = block * Self.block, count = min(Self.block, leaves[0].count - begin)
            let total = leaf + begin
            for sum in sums {
                let sum = sum + begin
                for element in 0..<count { total[element] += sum[element] }
            }
            (target + begin).update(from: total, count: count)
            total.update(repeating: 0, count: count)
        }
    }

    /// The nodes of all sources in an update's last round, and the buffers that have their sums, in the order of the groups.
    func nodes() -> [(node: TokenGroupTree.Node, elements: UnsafeMutableBufferPointer<Float>)] {
        sources.indices.flatMap { source in
            sums[source].map { ($0.node, $0.elements.buffer) }
                + running(source).map { (tree.leaf($0.group), $0.leaf.buffer) }
        }
    }

    /// To be called when the sums of all groups are in the first leaf: the next update begins.
    func endUpdate() {
        for leaf in leaves.dropFirst() { clear(leaf) }
        for source in sources.indices {
            free += sums[source].map(\.elements)
            sums[source] = []
        }
        done = 0
    }

    private func clear(_ leaf: Tensor) {
        let elements = leaf.pointer
        context.pool.parallelRanges(leaf.count, grain: 1 << 16) {
            (elements + $0.lowerBound).update(repeating: 0, count: $0.count)
        }
    }
}
