import Autograd
import Collectives
import MixtureOfExperts
import Testing
import _TestSupport

@testable import Training

/// The order that sums over token groups have, whoever computes the groups.
@Suite struct TokenGroupTreeTests {
    /// The sum of groups `range` at level `level`, by the definition: that of its left half and that of its right one.
    private static func naive(_ values: [Float], _ range: Range<Int>, level: Int) -> Float {
        if level == 0 { return values[range.lowerBound] }
        let middle = range.lowerBound + 1 << (level - 1)
        guard middle < range.upperBound else { return naive(values, range, level: level - 1) }
        return naive(values, range.lowerBound..<middle, level: level - 1)
            + naive(values, middle..<range.upperBound, level: level - 1)
    }

    /// Values of which every order of additions gives another sum.
    private static func values(_ count: Int) -> [Float] { normalValues(count, seed: 5) }

    /// Adds as a rank does: group after group, merging as soon as the tree says so, then what the ranks have.
    private static func merged(_ values: [Float], ranks: Int) -> Float {
        let tree = TokenGroupTree(groups: values.count)
        var all: [(node: TokenGroupTree.Node, sum: Float)] = []
        for rank in 0..<ranks {
            var own: [(node: TokenGroupTree.Node, sum: Float)] = []
            for group in tree.groups(ofRank: rank, of: ranks) {
                own.append((tree.leaf(group), values[group]))
                own = apply(tree.merging(own.map(\.node)), own.map(\.sum))
            }
            #expect(own.map(\.node) == tree.nodes(of: tree.groups(ofRank: rank, of: ranks)))
            all += own
        }
        let result = apply(tree.merging(all.map(\.node)), all.map(\.sum))
        #expect(result.count == 1, "\(values.count) groups on \(ranks) ranks")
        return result[0].sum
    }

    private static func apply(
        _ merging: (steps: [ReductionOrder.Step], parts: [TokenGroupTree.Part]), _ sums: [Float]
    ) -> [(node: TokenGroupTree.Node, sum: Float)] {
        var sums = sums
        for step in merging.steps { sums[step.target] += sums[step.other] }
        return merging.parts.map { ($0.node, sums[$0.buffer]) }
    }

    @Test(arguments: 1...17) func anyNumberOfRanksComesToTheSameSum(groups: Int) {
        let values = Self.values(groups), height = (0...5).first { 1 << $0 >= groups }!
        let expected = Self.naive(values, 0..<groups, level: height)
        for ranks in 1...9 { #expect(Self.merged(values, ranks: ranks) == expected, "\(groups) groups, \(ranks) ranks") }
    }

    /// Or the test above would show nothing.
    @Test func theOrderMatters() {
        #expect((5...17).contains { Self.merged(Self.values($0), ranks: 1) != Self.values($0).reduce(0, +) })
    }

    @Test func ranksShareOutAllGroups() {
        for (groups, ranks) in [(1, 1), (4, 3), (3, 8), (16, 5), (65_536, 7)] {
            let tree = TokenGroupTree(groups: groups), shares = (0..<ranks).map { tree.groups(ofRank: $0, of: ranks) }
            #expect(shares.flatMap { $0 } == Array(0..<groups))
            #expect(shares.map(\.count).max()! - shares.map(\.count).min()! <= 1)
        }
    }

    /// One sum for each level that is open; experts have those of every rank of their group.
    @Test func copiesOfGradients() throws {
        func copies(_ ranks: Int, groups: Int) throws -> [Int] {
            let layout = try ParallelLayout(ranks: ranks, expertParallel: nil, strata: [4, 4])
            return [
                layout.gradientCopies(.replicated, tokenGroups: groups), layout.gradientCopies(.expert, tokenGroups: groups),
            ]
        }
        #expect(try copies(1, groups: 1) == [1, 1])
        #expect(try copies(1, groups: 2) == [2, 2])
        #expect(try copies(1, groups: 8) == [4, 4])
        #expect(try copies(2, groups: 8) == [3, 6])
        #expect(try copies(4, groups: 4) == [1, 4])
        // Rank 0 keeps the sum of its only group while rank 1 runs its second: two leaves and two sums.
        #expect(try copies(2, groups: 3) == [2, 4])
        #expect(try copies(1, groups: 65_536) == [17, 17])
    }

    /// Groups that run in turns have leaves of their own; the last of an odd number is alone. Of six, the second rank's first two
    /// are no neighbours in the tree.
    @Test func copiesOfGradientsInTurns() throws {
        func copies(_ ranks: Int, groups: Int) throws -> [Int] {
            let layout = try ParallelLayout(ranks: ranks, expertParallel: nil, strata: [4, 4])
            return [ParameterPlacement.replicated, .expert].map { layout.gradientCopies($0, tokenGroups: groups, lanes: 2) }
        }
        #expect(try copies(2, groups: 4) == [2, 4])
        #expect(try copies(2, groups: 6) == [4, 7])
        #expect(try copies(2, groups: 8) == [3, 6])
        #expect(try copies(2, groups: 16) == [4, 8])
        // Rank 0 has two groups and rank 1 three.
        #expect(try copies(2, groups: 5) == [3, 6])
    }
}
