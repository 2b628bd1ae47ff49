import Autograd
import Collectives
import TensorCore

/// The gradients of one placement while an update goes on: those of the token groups that run now, source by source, and the sums
/// of earlier ones, as nodes of the update's tree. There are at most two sums for each level of the tree and source.
final class GradientPartials {
    /// A sum of earlier groups.
    private struct Sum {
        let node: TokenGroupTree.Node
        let elements: Tensor
    }

    /// Elements that are added up in one go: they stay in a core's cache.
    private static let block = 4096

    private let tree: TokenGroupTree
    /// The groups of each source, one in a round, from the first on.
    private let sources: [Range<Int>]
    /// By source, gradients of its group of this round.
    private let leaves: [Tensor]
    private let context: ComputeContext
    /// By source, from the first groups on.
    private var sums: [[Sum]]
    /// Memory of sums that have been merged, for others.
    private var free: [Tensor] = []
    private var round = 0

    /// `sources` in the order of their groups.
    init(_ section: ParameterStore.Section, sources: [Range<Int>], of tree: TokenGroupTree, _ context: ComputeContext) {
        precondition(section.sources.count == sources.count, "a section has gradients of every source")
        self.tree = tree
        self.sources = sources
        leaves = section.sources
        self.context = context
        sums = sources.map { _ in [] }
    }

    private func group(of source: Int) -> Int? {
        round < sources[source].count ? sources[source].lowerBound + round : nil
    }

    /// To be called when a round's gradients are complete, unless it is the update's last: adds them to the sums of earlier
    /// rounds, and makes them zero.
    func endRound() {
        for source in sources.indices {
            guard let group = group(of: source) else { continue }
            let (steps, parts) = tree.merging(sums[source].map(\.node) + [tree.leaf(group)])
            // The leaf is the last buffer: it is added to what it meets, from the last sum on.
            let merged = sums[source].suffix(steps.count).map(\.elements),
                target = merged.first ?? free.popLast() ?? uninitialized()
            add(leaves[source], to: merged.reversed(), into: target)
            free += merged.dropFirst()
            sums[source] = sums[source].dropLast(steps.count) + [Sum(node: parts[parts.count - 1].node, elements: target)]
        }
        round += 1
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
                + (group(of: source).map { [(tree.leaf($0), leaves[source].buffer)] } ?? [])
        }
    }

    /// To be called when the sums of all groups are in the first source's gradients: the next update begins.
    func endUpdate() {
        for leaf in leaves.dropFirst() { clear(leaf) }
        for source in sources.indices {
            free += sums[source].map(\.elements)
            sums[source] = []
        }
        round = 0
    }

    private func clear(_ leaf: Tensor) {
        let elements = leaf.pointer
        context.pool.parallelRanges(leaf.count, grain: 1 << 16) {
            (elements + $0.lowerBound).update(repeating: 0, count: $0.count)
        }
    }
}
