import Autograd
import Collectives

/// How ranks that hold the same parameters share out the work on those that are trained: about equal runs of the section's
/// elements, which begin where chunks do, wherever tensors begin. Rank r's is the r-th.
public struct ParameterShares: Equatable, Sendable {
    public let ranges: [Range<Int>]

    public init(of store: ParameterStore, _ placement: ParameterPlacement, over ranks: Int) {
        self.init(of: store.section(placement).trained, chunkStarts: store.chunkStarts(placement), over: ranks)
    }

    /// Of `count` elements in chunks that begin at `chunkStarts`, ascending.
    init(of count: Int, chunkStarts: [Int], over ranks: Int) {
        var begins = [0], next = chunkStarts.startIndex
        for rank in 1..<max(ranks, 1) {
            while next < chunkStarts.endIndex, chunkStarts[next] < rank * count / ranks { next += 1 }
            begins.append(next < chunkStarts.endIndex ? chunkStarts[next] : count)
        }
        ranges = zip(begins, begins.dropFirst() + [count]).map { $0..<$1 }
    }

    /// What of `range` lies in each share, rank after rank: consecutive pieces of it.
    public func counts(within range: Range<Int>) -> [Int] { ranges.map { $0.clamped(to: range).count } }
}

extension ParallelGroups {
    /// The ranks that hold the same parameters as this one: they sum their gradients, and may share out the optimizer.
    public func holders(_ placement: ParameterPlacement) -> any Communicator {
        switch placement {
        case .replicated: world
        case .expert: replicas
        case .copiedExpert: copies
        }
    }
}
