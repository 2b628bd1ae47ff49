import Autograd
import Collectives
import Training

/// Which elements of its sections, of those that are trained, each rank holds moments of, known to all ranks.
struct MomentShares {
    private struct Share {
        let elements: Range<Int>
        let section: Int
        var isWhole: Bool { elements == 0..<section }
    }

    /// One for each rank that holds the parameters: of the dense ones the world, of this rank's experts their replicas.
    private let shares: ByPlacement<[Share]>

    /// A collective operation of the world.
    init(_ state: RankState, _ groups: ParallelGroups) throws {
        shares = try ByPlacement { placement in
            let elements = state.moments[placement].elements
            let numbers = [elements.lowerBound, elements.upperBound, state.store.section(placement).trained]
            let all = try groups.holders(placement).allGather(numbers.map(Int64.init)).map(Int.init)
            return stride(from: 0, to: all.count, by: 3).map { Share(elements: all[$0]..<all[$0 + 1], section: all[$0 + 2]) }
        }
    }

    /// The elements whose moments this rank writes: those it holds and no rank before it does. Nil where every rank holds all.
    func written(_ placement: ParameterPlacement, by groups: ParallelGroups) -> Range<Int>? {
        let shares = shares[placement], rank = groups.holders(placement).rank
        if shares.allSatisfy(\.isWhole) { return nil }
        let covered = shares[..<rank].map(\.elements.upperBound).max() ?? 0
        let own = shares[rank].elements
        precondition(own.lowerBound <= covered, "shares follow one another in rank order")
        return max(own.lowerBound, min(covered, own.upperBound))..<own.upperBound
    }
}
