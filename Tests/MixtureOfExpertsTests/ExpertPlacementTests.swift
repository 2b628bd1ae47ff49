import MixtureOfExperts
import Testing

@Suite struct ParallelLayoutTests {
    @Test(arguments: [
        (ranks: 1, strata: [4, 4], expertParallel: 1), (2, [4, 4], 2), (3, [4, 4], 3), (4, [4, 4], 4), (8, [4, 4], 4),
        (6, [4, 12], 3), (8, [3, 5], 2), (9, [4, 4], 3), (5, [4, 4], 1), (7, [8, 8], 7), (16, [16], 16), (12, [5, 20], 4),
        (4, [1, 7], 1),
    ])
    func theDefaultIsTheLargestThatFits(_ example: (ranks: Int, strata: [Int], expertParallel: Int)) throws {
        let layout = try ParallelLayout(ranks: example.ranks, expertParallel: nil, strata: example.strata)
        #expect(layout.expertParallel == example.expertParallel)
        #expect(layout.replicas * layout.expertParallel == example.ranks)
    }

    @Test func aDenseModelHasReplicasAlone() throws {
        let layout = try ParallelLayout(ranks: 6, expertParallel: nil, strata: [])
        #expect(layout.expertParallel == 1 && layout.replicas == 6)
    }

    @Test func groupsAreNeighbours() throws {
        let layout = try ParallelLayout(ranks: 6, expertParallel: 3, strata: [4])
        #expect((0..<6).map(layout.place(ofRank:)) == [0, 1, 2, 0, 1, 2])
        #expect((0..<6).map(layout.replica(ofRank:)) == [0, 0, 0, 1, 1, 1])
    }

    @Test(arguments: [3, 0, -2, 16]) func aSizeThatDoesNotDivideIsRefused(expertParallel: Int) {
        let error = #expect(throws: PlacementError.self) {
            _ = try ParallelLayout(ranks: 8, expertParallel: expertParallel, strata: [32])
        }
        #expect(error == .notADivisor(expertParallel: expertParallel, ranks: 8))
    }

    @Test func refusalsSayWhatIsAllowed() {
        #expect(
            "\(PlacementError.notADivisor(expertParallel: 3, ranks: 8))"
                == "parallel.expert_parallel must divide the number of ranks, 8, but is 3; "
                + "leave it out (auto) or start a multiple of 3 ranks")
        let error = #expect(throws: PlacementError.self) {
            _ = try ParallelLayout(ranks: 16, expertParallel: 16, strata: [4, 12])
        }
        #expect(
            "\(error!)" == "parallel.expert_parallel must be at most the experts of the largest stratum, 12, but is 16; "
                + "leave it out (auto) to have replicas instead")
    }

    /// Of a group with more ranks than the smallest stratum has experts, in equal parts.
    @Test(arguments: [
        (expertParallel: 8, strata: [2, 8], partSize: 2), (8, [3, 8], 2), (6, [3, 6], 3), (6, [5, 6], 3), (4, [1, 4], 1),
        (4, [4, 4], 4), (9, [4, 5, 9], 3),
    ])
    func smallStrataHaveAPart(_ example: (expertParallel: Int, strata: [Int], partSize: Int)) throws {
        let (places, strata) = (example.expertParallel, example.strata)
        let layout = try ParallelLayout(ranks: 2 * places, expertParallel: places, strata: strata)
        #expect(layout.partSize == example.partSize && layout.replicas == 2 && layout.parts == 2 * places / example.partSize)
    }
}

@Suite struct ExpertPlacementTests {
    @Test func unevenStrata() {
        let placement = ExpertPlacement(strata: [3, 5], places: 2)
        // 0·2/3, 1·2/3, 2·2/3 and j·2/5.
        #expect(placement.placeOfExpert == [0, 0, 1, 0, 0, 0, 1, 1])
        #expect(placement.expertsOfPlace == [[0, 1, 3, 4, 5], [2, 6, 7]])
        #expect(placement.localIndex == [0, 1, 0, 2, 3, 4, 1, 2])
        #expect(placement.experts == 8 && placement.mostExpertsOfPlace == 5)
    }

    /// Two experts of a stratum in both halves of four places, of which each place sees its own half's.
    @Test func smallStrataAreCopied() {
        let first = ExpertPlacement(strata: [2, 5], places: 4, partSize: 2)
        #expect(first.copies == [.copiedExpert, .copiedExpert, .expert, .expert, .expert, .expert, .expert])
        #expect(first.placeOfExpert == [0, 1, 0, 0, 1, 2, 3])
        #expect(first.expertsOfPlace == [[0, 2, 3], [1, 4], [0, 5], [1, 6]])
        #expect(first.localIndex == [0, 0, 1, 2, 1, 1, 1])
        let last = ExpertPlacement(strata: [2, 5], places: 4, partSize: 2, seenFrom: 3)
        #expect(last.placeOfExpert == [2, 3, 0, 0, 1, 2, 3] && last.expertsOfPlace == first.expertsOfPlace)
        #expect(first.experts(of: 2, seenFrom: 1) == [5] && first.experts(of: 2, seenFrom: 3) == [0, 5])
        // Widths of the copies count at each place.
        let widths = ExpertPlacement(strata: [2, 4], places: 4, partSize: 2, widths: [9, 1, 5, 5, 4, 4])
        #expect(widths.expertsOfPlace.map { $0.filter { $0 < 2 } } == [[0], [1], [0], [1]])
        #expect(Set(widths.placeOfExpert[2...]) == [0, 1, 2, 3])
    }

    /// Whoever wants an expert that every place has uses its own; the others stay where they are.
    @Test func replicatedExpertsAreEverywhere() {
        let first = ExpertPlacement(strata: [2, 5], places: 4, partSize: 2, replicated: [1, 4])
        #expect(first.copies == [.copiedExpert, .replicated, .expert, .expert, .replicated, .expert, .expert])
        #expect(first.expertsOfPlace == [[0, 1, 2, 3, 4], [1, 4], [0, 1, 4, 5], [1, 4, 6]])
        #expect(first.placeOfExpert == [0, 0, 0, 0, 0, 2, 3] && first.localIndex == [0, 1, 2, 3, 4, 3, 2])
        let third = ExpertPlacement(strata: [2, 5], places: 4, partSize: 2, seenFrom: 2, replicated: [1, 4])
        #expect(third.placeOfExpert == [2, 2, 0, 0, 2, 2, 3] && third.expertsOfPlace == first.expertsOfPlace)
        #expect(third.localIndex == [0, 1, 2, 3, 2, 3, 2])
        #expect(first.experts(of: 2, seenFrom: 0) == [5] && first.experts(of: 2, seenFrom: 3) == [0, 5])
        #expect(first.experts(of: 2, seenFrom: 2) == [0, 1, 4, 5])
    }

    /// Of those that exist, as if there were no others.
    @Test func expertsThatDoNotExistHaveNoPlace() {
        let placement = ExpertPlacement(strata: [4, 4], places: 2, existing: [1, 2, 3, 4, 7])
        #expect(placement.placeOfExpert == [-1, 0, 0, 1, 0, -1, -1, 1])
        #expect(placement.expertsOfPlace == [[1, 2, 4], [3, 7]] && placement.localIndex == [-1, 0, 1, 0, 2, -1, -1, 1])
        #expect(placement.experts == 8 && placement.existing == [1, 2, 3, 4, 7])
        #expect(
            ExpertPlacement(strata: [2, 3], places: 2, existing: Array(0..<5)) == ExpertPlacement(strata: [2, 3], places: 2))
        let widths = ExpertPlacement(strata: [4], places: 2, widths: [9, 5, 1, 1], existing: [0, 2, 3])
        #expect(widths.placeOfExpert == [0, -1, 1, 1])
    }

    /// 9, 11, … 23 on two places are 64 and 64, on four 32 each; in order they would be 48 and 80.
    @Test func unequalWidthsAreDealtOut() {
        let widths = (0..<8).map { 9 + 2 * $0 }
        let two = ExpertPlacement(strata: [8], places: 2, widths: widths)
        #expect(two.placeOfExpert == [0, 1, 1, 0, 0, 1, 1, 0] && two.expertsOfPlace == [[0, 3, 4, 7], [1, 2, 5, 6]])
        #expect(ExpertPlacement(strata: [8], places: 4, widths: widths).placeOfExpert == [0, 1, 2, 3, 3, 2, 1, 0])
        #expect(
            ExpertPlacement(strata: [3, 5], places: 2, widths: [Int](repeating: 7, count: 8))
                == ExpertPlacement(strata: [3, 5], places: 2))
        // What the first stratum left uneven the second evens out.
        let strata = ExpertPlacement(strata: [3, 3], places: 2, widths: [5, 1, 1, 5, 1, 1])
        let totals = strata.expertsOfPlace.map { $0.reduce(0) { $0 + [5, 1, 1, 5, 1, 1][$1] } }
        #expect(totals == [7, 7])
    }

    /// Whatever the widths: shards as even as they can be, and local indices in the order of ids.
    @Test func unequalWidthsLeaveShardsEven() {
        for places in 1...5 {
            for sizes in [[5, 7], [8, 6], [9, 5]] {
                let widths = (0..<sizes.reduce(0, +)).map { 1 + $0 * $0 * 7 % 23 }
                let placement = ExpertPlacement(strata: sizes, places: places, widths: widths)
                for (start, size) in [(0, sizes[0]), (sizes[0], sizes[1])] {
                    let loads = (0..<places).map { place in
                        placement.placeOfExpert[start..<start + size].count { $0 == place }
                    }
                    #expect(loads.max()! - loads.min()! <= 1, "\(sizes) on \(places)")
                }
                for experts in placement.expertsOfPlace { #expect(experts == experts.sorted()) }
            }
        }
    }

    @Test func everyPlaceHasAShardOfEveryStratum() {
        for places in 1...9 {
            for first in places...(places + 7) {
                for second in places...(places + 7) {
                    let placement = ExpertPlacement(strata: [first, second], places: places)
                    for (stratum, size) in [first, second].enumerated() {
                        let start = stratum == 0 ? 0 : first
                        let shards = (0..<size).map { placement.placeOfExpert[start + $0] }
                        #expect(shards == (0..<size).map { $0 * places / size })
                        #expect(Set(shards) == Set(0..<places), "strata \(first), \(second) on \(places)")
                        let loads = (0..<places).map { place in shards.count { $0 == place } }
                        #expect(loads.max()! - loads.min()! <= 1, "shards as even as they can be")
                    }
                    for (place, experts) in placement.expertsOfPlace.enumerated() {
                        #expect(experts == experts.sorted())
                        for (local, expert) in experts.enumerated() {
                            #expect(placement.placeOfExpert[expert] == place && placement.localIndex[expert] == local)
                        }
                    }
                }
            }
        }
    }
}
