import Autograd
import Collectives
import MixtureOfExperts

/// The order in which what an update's token groups gave is added up: a binary tree over their numbers. Node i of level l covers
/// the groups from i · 2ˡ up to (i + 1) · 2ˡ, as far as there are so many; it is the sum of the two nodes below it. The tree
/// depends on the number of groups alone: any number of ranks comes to the same bits.
struct TokenGroupTree: Equatable {
    struct Node: Equatable {
        let level: Int
        let index: Int
    }

    let groups: Int

    init(groups: Int) {
        precondition(groups >= 1, "an update has token groups")
        self.groups = groups
    }

    /// The groups of a rank: consecutive ones, so that most of its sums are nodes of the tree, and numbers that differ by one at
    /// most. Ranks without a group have an empty range.
    func groups(ofRank rank: Int, of ranks: Int) -> Range<Int> { rank * groups / ranks..<(rank + 1) * groups / ranks }

    func leaf(_ group: Int) -> Node { raised(level: 0, index: group) }

    /// The node of two neighbours; nil where they have none.
    func parent(_ left: Node, _ right: Node) -> Node? {
        guard left.level == right.level, left.index % 2 == 0, right.index == left.index + 1 else { return nil }
        return raised(level: left.level + 1, index: left.index / 2)
    }

    /// A node that has no right neighbour is the node above it as well.
    private func raised(level: Int, index: Int) -> Node {
        var (level, index) = (level, index)
        while index > 0, index % 2 == 0, (index + 1) << level >= groups { (level, index) = (level + 1, index / 2) }
        return Node(level: level, index: index)
    }

    /// A buffer, by its number among some, and the node whose sum it has.
    struct Part: Equatable {
        let buffer: Int
        let node: Node
    }

    /// Merges buffers that have the sums of `nodes`, in the order of their groups, as far as the tree says: what is left is in the
    /// last buffer of those that were merged.
    func merging(_ nodes: [Node]) -> (steps: [ReductionOrder.Step], parts: [Part]) {
        var steps: [ReductionOrder.Step] = [], parts: [Part] = []
        for (buffer, node) in nodes.enumerated() { merge(Part(buffer: buffer, node: node), into: &parts, &steps) }
        return (steps, parts)
    }

    private func merge(_ part: Part, into parts: inout [Part], _ steps: inout [ReductionOrder.Step]) {
        var node = part.node
        while let left = parts.last, let parent = parent(left.node, node) {
            steps.append(.init(target: part.buffer, other: left.buffer))
            parts.removeLast()
            node = parent
        }
        parts.append(Part(buffer: part.buffer, node: node))
    }

    /// The nodes that are left of consecutive groups' leaves.
    func nodes(of groups: Range<Int>) -> [Node] { merging(groups.map(leaf)).parts.map(\.node) }

    /// The most sums of earlier groups that are kept while consecutive groups run, `lanes` in a round; those of the last round stay
    /// where they are.
    func mostSums(of groups: Range<Int>, lanes: Int, rounds: Int) -> Int {
        var parts: [Part] = [], steps: [ReductionOrder.Step] = []
        return groups.prefix((rounds - 1) * lanes).reduce(0) { most, group in
            merge(Part(buffer: 0, node: leaf(group)), into: &parts, &steps)
            return max(most, parts.count)
        }
    }
}

extension ParallelLayout {
    /// The ranks whose rows the parameters of each holder see, holder after holder: for dense ones each its own, for experts those
    /// of an expert-parallel group, or for copies of a part of one.
    func sources(_ placement: ParameterPlacement) -> [Range<Int>] {
        let sharing = sharing(placement)
        return (0..<holders(placement)).map { $0 * sharing..<($0 + 1) * sharing }
    }

    /// The most token groups of a rank in an update of so many.
    public func mostGroups(of tokenGroups: Int) -> Int { (tokenGroups + ranks - 1) / ranks }

    /// Copies of its gradients of a placement that a rank holds in an update of so many token groups, `lanes` of which it runs in
    /// turns, where it holds most.
    public func gradientCopies(_ placement: ParameterPlacement, tokenGroups: Int, lanes: Int = 1) -> Int {
        let tree = TokenGroupTree(groups: tokenGroups), rounds = (mostGroups(of: tokenGroups) + lanes - 1) / lanes
        return sources(placement).map { sources in
            sources.reduce(0) {
                $0 + lanes + tree.mostSums(of: tree.groups(ofRank: $1, of: ranks), lanes: lanes, rounds: rounds)
            }
        }.max() ?? 1
    }

    /// Sums of a placement's gradients that a rank has for the others in an update of so many token groups, where it has most.
    public func gradientParts(_ placement: ParameterPlacement, tokenGroups: Int) -> Int {
        let tree = TokenGroupTree(groups: tokenGroups)
        return sources(placement).map { sources in
            let groups = sources.map { tree.groups(ofRank: $0, of: ranks) }
            return tree.nodes(of: groups[0].lowerBound..<groups[groups.count - 1].upperBound).count
        }.max() ?? 1
    }

    /// Which ranks have a token group in each round of an update of so many.
    public func activeRanks(tokenGroups: Int) -> [[Bool]] {
        let tree = TokenGroupTree(groups: tokenGroups), counts = (0..<ranks).map { tree.groups(ofRank: $0, of: ranks).count }
        return (0..<mostGroups(of: tokenGroups)).map { round in counts.map { round < $0 } }
    }
}
