import MixtureOfExperts
import Testing

@testable import Planning

@Suite struct PlacementProposalTests {
    /// Symmetric counts of pairs.
    private static func together(_ experts: Int, _ pairs: [(Int, Int, Int)]) -> [[Int]] {
        var counts = [[Int]](repeating: [Int](repeating: 0, count: experts), count: experts)
        for (a, b, count) in pairs { (counts[a][b], counts[b][a]) = (count, count) }
        return counts
    }

    private static func block(
        _ strata: [Int], places: Int, load: [Int], _ pairs: [(Int, Int, Int)]
    ) -> PlacementProposal.Block {
        PlacementProposal.Block(
            "b", together: together(load.count, pairs), load: load, ExpertPlacement(strata: strata, places: places))
    }

    /// Usually 0 and 1 are together, and 2 and 3.
    @Test func pairsComeTogether() {
        let block = Self.block([4], places: 2, load: [10, 10, 10, 10], [(0, 1, 1), (0, 2, 10), (1, 3, 8), (2, 3, 2)])
        #expect(block.usual == 3 && block.proposed == 18 && block.choices == 40)
        #expect(block.places == [1, 0, 1, 0] || block.places == [0, 1, 0, 1])
        #expect(block.usualLoad == 1 && block.proposedLoad == 1)
    }

    /// 0 and 2 are wanted together most, but are half of all choices each: where they are apart no rank has more than 45 of 80.
    @Test func noRankGetsBusier() {
        let pairs = [(0, 2, 10), (1, 3, 1)]
        let uneven = Self.block([4], places: 2, load: [30, 5, 30, 15], pairs)
        #expect(uneven.usual == 0 && uneven.proposed == 0 && uneven.places == [0, 0, 1, 1])
        #expect(uneven.usualLoad == 45.0 / 40 && uneven.proposedLoad == 45.0 / 40)
        #expect(Self.block([4], places: 2, load: [20, 20, 20, 20], pairs).proposed == 11)
    }

    /// Wide experts stay where they were dealt to, each on a place of its own, though they are chosen together most.
    @Test func widthsStayEven() {
        let widths = [40, 40, 5, 5]
        let block = PlacementProposal.Block(
            "b", together: Self.together(4, [(0, 1, 90), (0, 2, 3), (1, 3, 3)]), load: [10, 10, 10, 10], widths: widths,
            ExpertPlacement(strata: [4], places: 2, widths: widths))
        #expect(block.places[0] != block.places[1] && block.places[2] != block.places[3])
        #expect(block.proposed == 6 && block.proposedLoad == 1)
    }

    /// Experts of other strata attract, but places keep their shards of each; what an exhaustive search finds is found here.
    @Test func strataKeepTheirShards() {
        let pairs = [(0, 3, 9), (0, 5, 1), (1, 2, 7), (1, 4, 2), (2, 3, 1), (4, 5, 3)]
        let block = Self.block([2, 4], places: 2, load: [5, 5, 5, 5, 5, 5], pairs)
        for place in 0..<2 {
            #expect(block.places[..<2].count { $0 == place } == 1 && block.places[2...].count { $0 == place } == 2)
        }
        let counts = Self.together(6, pairs)
        var best = 0
        for first in [[0, 1], [1, 0]] {
            for mask in 0..<16 where mask.nonzeroBitCount == 2 {
                let places = first + (0..<4).map { mask >> $0 & 1 }
                var sum = 0
                for a in 0..<6 { for b in (a + 1)..<6 where places[a] == places[b] { sum += counts[a][b] } }
                best = max(best, sum)
            }
        }
        #expect(block.proposed == best && block.usual < best)
    }

    @Test func theFileIsOfThePlaces() throws {
        let block = Self.block([4], places: 2, load: [1, 1, 1, 1], [(0, 2, 10)])
        let proposal = PlacementProposal(blocks: [block], expertParallel: 2)
        let shards = proposal.file.blocks["b"]!
        #expect(shards.flatMap(\.self).sorted() == [0, 1, 2, 3] && shards.contains([0, 2]))
        #expect(proposal.text.contains("250.0 %"))
        #expect(try proposal.json().contains("\"proposed_pairs\""))
    }
}
