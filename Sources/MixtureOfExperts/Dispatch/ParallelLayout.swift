import Autograd

/// Why experts cannot be spread over the ranks as asked.
public enum PlacementError: Error, Equatable, CustomStringConvertible {
    case notADivisor(expertParallel: Int, ranks: Int)
    case tooManyPlaces(expertParallel: Int, limit: ExpertParallelLimit)

    public var description: String {
        switch self {
        case let .notADivisor(expertParallel, ranks):
            "parallel.expert_parallel must divide the number of ranks, \(ranks), but is \(expertParallel); "
                + "leave it out (auto) or start a multiple of \(expertParallel) ranks"
        case let .tooManyPlaces(expertParallel, limit):
            "parallel.expert_parallel \(limit.text), but is \(expertParallel); leave it out (auto) to have replicas instead"
        }
    }
}

/// The largest expert-parallel size of a model.
public enum ExpertParallelLimit: Equatable, Sendable {
    /// Smaller strata have several copies of their experts in a group.
    case largestStratum(Int)
    /// Where experts come and go, every rank hosts one of every stratum, of which a group has one copy.
    case experts(Int)

    public var most: Int {
        switch self {
        case .largestStratum(let most), .experts(let most): most
        }
    }

    /// "must be at most …".
    public var text: String {
        switch self {
        case .largestStratum(let most): "must be at most the experts of the largest stratum, \(most)"
        case .experts(let most):
            "must be at most the experts that every stratum keeps, \(most) (model.moe.expert_pool.minimum)"
        }
    }
}

extension MixtureConfiguration {
    public var expertParallelLimit: ExpertParallelLimit {
        pool == nil ? .largestStratum(widest.strata.max() ?? 1) : .experts(fewestExperts.min() ?? 1)
    }
}

/// How the ranks are grouped: expert-parallel groups of neighbouring ranks share one copy of the experts; ranks of the same
/// place in different groups are replicas. A stratum with fewer experts than a group has ranks has a copy in each part of a group.
public struct ParallelLayout: Equatable, Sendable {
    public let ranks: Int
    /// EP, the ranks of a group.
    public let expertParallel: Int
    /// The ranks of a part of a group, neighbours: as many as the smallest stratum has experts for, and so many that parts are equal.
    /// Where no stratum is too small, a group is one part.
    public let partSize: Int

    /// For a mixture; nil: a dense model. `expertParallel` nil: the largest divisor of `ranks` that is at most the smallest stratum.
    public init(ranks: Int, expertParallel: Int?, mixture: MixtureConfiguration?) throws {
        try self.init(
            ranks: ranks, expertParallel: expertParallel, smallest: mixture?.fewestExperts.min() ?? 1,
            limit: mixture?.expertParallelLimit ?? .largestStratum(1))
    }

    /// For strata of one kind of block.
    public init(ranks: Int, expertParallel: Int?, strata: [Int]) throws {
        try self.init(
            ranks: ranks, expertParallel: expertParallel, smallest: strata.min() ?? 1,
            limit: .largestStratum(strata.max() ?? 1))
    }

    private init(ranks: Int, expertParallel: Int?, smallest: Int, limit: ExpertParallelLimit) throws {
        if let expertParallel {
            guard expertParallel >= 1, ranks % expertParallel == 0 else {
                throw PlacementError.notADivisor(expertParallel: expertParallel, ranks: ranks)
            }
            guard expertParallel <= limit.most else {
                throw PlacementError.tooManyPlaces(expertParallel: expertParallel, limit: limit)
            }
        }
        self.ranks = ranks
        self.expertParallel = expertParallel ?? Self.largestDivisor(of: ranks, atMost: smallest)
        partSize = Self.partSize(of: self.expertParallel, smallest: smallest)
    }

    /// The ranks of a part of a group of so many, where the smallest stratum has so many experts.
    public static func partSize(of expertParallel: Int, smallest: Int) -> Int {
        largestDivisor(of: expertParallel, atMost: smallest)
    }

    private static func largestDivisor(of number: Int, atMost limit: Int) -> Int {
        (1...min(number, limit)).last { number % $0 == 0 }!
    }

    public var replicas: Int { ranks / expertParallel }
    /// Parts of all groups.
    public var parts: Int { ranks / partSize }
    /// Neighbouring ranks that have one copy of a placement's parameters together.
    public func sharing(_ placement: ParameterPlacement) -> Int { placement.sharing(of: expertParallel, partSize: partSize) }
    /// Ranks that hold the same parameters of a placement.
    public func holders(_ placement: ParameterPlacement) -> Int { ranks / sharing(placement) }
    public func place(ofRank rank: Int) -> Int { rank % expertParallel }
    public func replica(ofRank rank: Int) -> Int { rank / expertParallel }
}

extension ParameterPlacement {
    /// Neighbouring places, of the places of a group in parts of `partSize`, that have one copy of such parameters together.
    public func sharing(of places: Int, partSize: Int) -> Int {
        switch self {
        case .replicated: 1
        case .expert: places
        case .copiedExpert: partSize
        }
    }
}
