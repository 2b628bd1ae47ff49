/// Why experts cannot be spread over the ranks as asked.
public enum PlacementError: Error, Equatable, CustomStringConvertible {
    case notADivisor(expertParallel: Int, ranks: Int)
    case stratumTooSmall(expertParallel: Int, smallest: Int)

    public var description: String {
        switch self {
        case let .notADivisor(expertParallel, ranks):
            "parallel.expert_parallel must divide the number of ranks, \(ranks), but is \(expertParallel); "
                + "leave it out (auto) or start a multiple of \(expertParallel) ranks"
        case let .stratumTooSmall(expertParallel, smallest):
            "parallel.expert_parallel must be at most the smallest stratum's experts, \(smallest), but is \(expertParallel): "
                + "every rank hosts a shard of every stratum; leave it out (auto) to have replicas instead"
        }
    }
}

/// How the ranks are grouped: expert-parallel groups of neighbouring ranks share one copy of the experts; ranks of the same
/// place in different groups are replicas.
public struct ParallelLayout: Equatable, Sendable {
    public let ranks: Int
    /// EP, the ranks of a group.
    public let expertParallel: Int

    /// `expertParallel` nil: the largest divisor of `ranks` that is at most the smallest stratum (1 for a dense model).
    public init(ranks: Int, expertParallel: Int?, strata: [Int]) throws {
        let smallest = strata.min() ?? 1
        if let expertParallel {
            guard expertParallel >= 1, ranks % expertParallel == 0 else {
                throw PlacementError.notADivisor(expertParallel: expertParallel, ranks: ranks)
            }
            guard expertParallel <= smallest else {
                throw PlacementError.stratumTooSmall(expertParallel: expertParallel, smallest: smallest)
            }
        }
        self.ranks = ranks
        self.expertParallel = expertParallel ?? (1...min(ranks, smallest)).last { ranks % $0 == 0 }!
    }

    public var replicas: Int { ranks / expertParallel }
    public func place(ofRank rank: Int) -> Int { rank % expertParallel }
    public func replica(ofRank rank: Int) -> Int { rank / expertParallel }
}

/// Which place of an expert-parallel group hosts which expert: every place has a shard of every stratum, ⌊n / places⌋ or
/// ⌈n / places⌉ of its n experts. Of experts that are equally wide, expert j lives on place j · places div n. Where widths differ,
/// those of a stratum are dealt out, the widest first, so that places have about equal widths.
public struct ExpertPlacement: Equatable, Sendable {
    public let strata: [Int]
    public let places: Int
    /// Experts of each place: global ids, ascending.
    public let expertsOfPlace: [[Int]]
    /// Places of the experts, by global id.
    public let placeOfExpert: [Int]
    /// An expert's index among its place's experts, by global id.
    public let localIndex: [Int]

    /// `widths` by global id; nil: equal.
    public init(strata: [Int], places: Int, widths: [Int]? = nil) {
        precondition(places >= 1 && strata.allSatisfy { $0 >= places }, "every place needs a shard of every stratum")
        self.strata = strata
        self.places = places
        if let widths, Set(widths).count > 1 {
            precondition(widths.count == strata.reduce(0, +), "every expert has a width")
            placeOfExpert = Self.dealt(widths, strata: strata, places: places)
        } else {
            placeOfExpert = strata.flatMap { n in (0..<n).map { $0 * places / n } }
        }
        var experts = [[Int]](repeating: [], count: places), local: [Int] = []
        for (expert, place) in placeOfExpert.enumerated() {
            local.append(experts[place].count)
            experts[place].append(expert)
        }
        expertsOfPlace = experts
        localIndex = local
    }

    /// Within a stratum each expert, the widest first and of equal ones the lowest id, goes to the place with room that has least
    /// width of the stratum so far, then least of all strata, then the lowest number.
    private static func dealt(_ widths: [Int], strata: [Int], places: Int) -> [Int] {
        var placeOfExpert = [Int](repeating: 0, count: widths.count), total = [Int](repeating: 0, count: places), first = 0
        for size in strata {
            var own = [Int](repeating: 0, count: places), count = own, larger = size % places
            for expert in (first..<first + size).sorted(by: { (widths[$0], $1) > (widths[$1], $0) }) {
                let open = (0..<places).filter { count[$0] < size / places || (count[$0] == size / places && larger > 0) }
                let place = open.min { (own[$0], total[$0], $0) < (own[$1], total[$1], $1) }!
                if count[place] == size / places { larger -= 1 }
                placeOfExpert[expert] = place
                count[place] += 1
                own[place] += widths[expert]
                total[place] += widths[expert]
            }
            first += size
        }
        return placeOfExpert
    }

    public var experts: Int { placeOfExpert.count }
    /// The most experts that any place hosts.
    public var mostExpertsOfPlace: Int { expertsOfPlace.reduce(0) { max($0, $1.count) } }
}
