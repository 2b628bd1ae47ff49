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
/// ⌈n / places⌉ of its n experts. Of experts that are equally wide, the j-th lives on place j · places div n. Where widths differ,
/// those of a stratum are dealt out, the widest first, so that places have about equal widths. Experts that do not exist have no
/// place.
public struct ExpertPlacement: Equatable, Sendable {
    public let strata: [Int]
    public let places: Int
    /// Experts of each place: global ids, ascending.
    public let expertsOfPlace: [[Int]]
    /// Places of the experts, by global id; −1 for one that does not exist.
    public let placeOfExpert: [Int]
    /// An expert's index among its place's experts, by global id; −1 for one that does not exist.
    public let localIndex: [Int]

    /// `widths` by global id; nil: equal. `existing` are the global ids of the experts that exist, ascending; nil: all.
    public init(strata: [Int], places: Int, widths: [Int]? = nil, existing: [Int]? = nil) {
        var members: [[Int]] = [], first = 0
        for size in strata {
            let stratum = first..<first + size
            members.append(existing?.filter(stratum.contains) ?? Array(stratum))
            first += size
        }
        precondition(places >= 1 && members.allSatisfy { $0.count >= places }, "every place needs a shard of every stratum")
        self.strata = strata
        self.places = places
        var placeOfExpert = [Int](repeating: -1, count: first)
        if let widths, Set(widths).count > 1 {
            precondition(widths.count == strata.reduce(0, +), "every expert has a width")
            Self.deal(members, widths, places: places, into: &placeOfExpert)
        } else {
            for stratum in members {
                for (number, expert) in stratum.enumerated() { placeOfExpert[expert] = number * places / stratum.count }
            }
        }
        var experts = [[Int]](repeating: [], count: places), local = [Int](repeating: -1, count: first)
        for (expert, place) in placeOfExpert.enumerated() where place >= 0 {
            local[expert] = experts[place].count
            experts[place].append(expert)
        }
        self.placeOfExpert = placeOfExpert
        expertsOfPlace = experts
        localIndex = local
    }

    /// Within a stratum each expert, the widest first and of equal ones the lowest id, goes to the place with room that has least
    /// width of the stratum so far, then least of all strata, then the lowest number.
    private static func deal(_ members: [[Int]], _ widths: [Int], places: Int, into placeOfExpert: inout [Int]) {
        var total = [Int](repeating: 0, count: places)
        for stratum in members {
            let size = stratum.count
            var own = [Int](repeating: 0, count: places), count = own, larger = size % places
            for expert in stratum.sorted(by: { (widths[$0], $1) > (widths[$1], $0) }) {
                let open = (0..<places).filter { count[$0] < size / places || (count[$0] == size / places && larger > 0) }
                let place = open.min { (own[$0], total[$0], $0) < (own[$1], total[$1], $1) }!
                if count[place] == size / places { larger -= 1 }
                placeOfExpert[expert] = place
                count[place] += 1
                own[place] += widths[expert]
                total[place] += widths[expert]
            }
        }
    }

    /// Whether a token may have several experts at one place, at a gate that sees `visible`.
    public func sharesRows(_ configuration: MixtureConfiguration, visible: Range<Int>) -> Bool {
        guard configuration.topK > 1 || !configuration.rule.readsTopK else { return false }
        return places > 1 && expertsOfPlace.contains { $0.count(where: visible.contains) > 1 }
    }

    /// Experts that the strata have room for.
    public var experts: Int { placeOfExpert.count }
    /// The global ids of those that exist, ascending.
    public var existing: [Int] { placeOfExpert.indices.filter { placeOfExpert[$0] >= 0 } }
    /// The most experts that any place hosts.
    public var mostExpertsOfPlace: Int { expertsOfPlace.reduce(0) { max($0, $1.count) } }
}
