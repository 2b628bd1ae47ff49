import Autograd
import Collectives

/// How ranks that hold the same parameters share out the work on them: equal runs of the section's elements, cut at multiples of
/// 16 (a cache line), wherever tensors begin. Rank r's is the r-th.
public struct ParameterShares: Equatable, Sendable {
    public let ranges: [Range<Int>]

    public init(of count: Int, over ranks: Int) {
        let lines = (count + 15) / 16
        func begin(_ rank: Int) -> Int { min(rank * lines / ranks * 16, count) }
        ranges = (0..<ranks).map { begin($0)..<begin($0 + 1) }
    }

    /// What of `range` lies in each share, rank after rank: consecutive pieces of it.
    public func counts(within range: Range<Int>) -> [Int] { ranges.map { $0.clamped(to: range).count } }
}

extension ParallelGroups {
    /// The ranks that hold the same parameters as this one: they sum their gradients, and may share out the optimizer.
    public func holders(_ placement: ParameterPlacement) -> any Communicator { placement == .replicated ? world : replicas }
}
