import Autograd

/// Which place of an expert-parallel group hosts which expert, as one place sees it: every place has a shard of every stratum, ⌊n /
/// places⌋ or ⌈n / places⌉ of its n experts. Of experts that are equally wide, the j-th lives on place j · places div n. Where
/// widths differ, those of a stratum are dealt out, the widest first, so that places have about equal widths. A stratum with fewer
/// experts than there are places is spread so over the places of each part, of which a place uses its own part's copies; of experts
/// that are replicated every place has a copy, which it uses. Experts that do not exist have no place.
public struct ExpertPlacement: Equatable, Sendable {
    public let strata: [Int]
    public let places: Int
    /// Neighbouring places that share a copy of small strata.
    public let partSize: Int
    /// Where copies of experts live, by global id: on one place, on one of each part, or on all.
    public let copies: [ParameterPlacement]
    /// Experts of each place: global ids, ascending.
    public let expertsOfPlace: [[Int]]
    /// Places of the experts, or of the copies that the viewer uses, by global id; −1 for one that does not exist.
    public let placeOfExpert: [Int]
    /// An expert's index among that place's experts, by global id; −1 for one that does not exist.
    public let localIndex: [Int]

    /// `widths` by global id; nil: equal. `existing` are the global ids of the experts that exist, ascending; nil: all. `partSize`
    /// nil: no stratum has fewer experts than there are places. `viewer` is the place that sees the experts so. `given` are the
    /// experts' places where somebody else has chosen them, `replicated` those of which every place has a copy.
    public init(
        strata: [Int], places: Int, partSize: Int? = nil, seenFrom viewer: Int = 0, widths: [Int]? = nil,
        existing: [Int]? = nil, given: [Int]? = nil, replicated: [Int] = []
    ) {
        let partSize = partSize ?? places
        var members: [[Int]] = [], first = 0
        for size in strata {
            let stratum = first..<first + size
            members.append(existing?.filter(stratum.contains) ?? Array(stratum))
            first += size
        }
        precondition(
            places >= 1 && places % partSize == 0 && members.allSatisfy { $0.count >= partSize },
            "every place needs a shard of every stratum")
        self.strata = strata
        self.places = places
        self.partSize = partSize
        // Places in the first part, where experts are copied.
        var placeOfExpert = [Int](repeating: -1, count: first)
        var copies = [ParameterPlacement](repeating: .expert, count: first)
        for stratum in members where stratum.count < places {
            for expert in stratum { copies[expert] = .copiedExpert }
        }
        if let given {
            precondition(
                given.count == first && !copies.contains(.copiedExpert) && existing == nil, "every expert has a place")
            placeOfExpert = given
        } else if let widths, Set(widths).count > 1 {
            precondition(widths.count == strata.reduce(0, +), "every expert has a width")
            Self.deal(members, widths, places: places, partSize: partSize, into: &placeOfExpert)
        } else {
            for stratum in members {
                let spread = stratum.count < places ? partSize : places
                for (number, expert) in stratum.enumerated() { placeOfExpert[expert] = number * spread / stratum.count }
            }
        }
        var experts = [[Int]](repeating: [], count: places), local = [Int](repeating: -1, count: first)
        for expert in replicated { copies[expert] = .replicated }
        for (expert, place) in placeOfExpert.enumerated() where place >= 0 {
            let sharing = copies[expert].sharing(of: places, partSize: partSize)
            let seen = viewer / sharing * sharing + place % sharing
            local[expert] = experts[seen].count
            for place in stride(from: place % sharing, to: places, by: sharing) { experts[place].append(expert) }
            placeOfExpert[expert] = seen
        }
        self.copies = copies
        self.placeOfExpert = placeOfExpert
        expertsOfPlace = experts
        localIndex = local
    }

    /// Within a stratum each expert, the widest first and of equal ones the lowest id, goes to the place with room that has least
    /// width of the stratum so far, then least of all strata, then the lowest number.
    private static func deal(
        _ members: [[Int]], _ widths: [Int], places all: Int, partSize: Int, into placeOfExpert: inout [Int]
    ) {
        var total = [Int](repeating: 0, count: all)
        for stratum in members {
            let size = stratum.count, places = size < all ? partSize : all
            var own = [Int](repeating: 0, count: places), count = own, larger = size % places
            for expert in stratum.sorted(by: { (widths[$0], $1) > (widths[$1], $0) }) {
                let open = (0..<places).filter { count[$0] < size / places || (count[$0] == size / places && larger > 0) }
                let place = open.min { (own[$0], total[$0], $0) < (own[$1], total[$1], $1) }!
                if count[place] == size / places { larger -= 1 }
                placeOfExpert[expert] = place
                count[place] += 1
                own[place] += widths[expert]
                for copy in stride(from: place, to: all, by: places) { total[copy] += widths[expert] }
            }
        }
    }

    /// Whether a token may have several experts at one place, or on one of `hosts`, at a gate that sees `visible`.
    public func sharesRows(_ configuration: MixtureConfiguration, visible: Range<Int>, hosts: PlaceHosts? = nil) -> Bool {
        guard places > 1, configuration.topK > 1 || !configuration.rule.readsTopK else { return false }
        let counts = expertsOfPlace.map { $0.count(where: visible.contains) }
        let together = hosts?.places.map { $0.reduce(0) { $0 + counts[$1] } } ?? counts
        return together.contains { $0 > 1 }
    }

    /// The experts that another place, or the same, sends rows to at a place: its own, and copies that the other one uses.
    public func experts(of place: Int, seenFrom other: Int) -> [Int] {
        expertsOfPlace[place].filter {
            let sharing = copies[$0].sharing(of: places, partSize: partSize)
            return place / sharing == other / sharing
        }
    }

    /// Experts that the strata have room for.
    public var experts: Int { placeOfExpert.count }
    /// The global ids of those that exist, ascending.
    public var existing: [Int] { placeOfExpert.indices.filter { placeOfExpert[$0] >= 0 } }
    /// The global ids of those of which every place has a copy, ascending.
    public var replicated: [Int] { copies.indices.filter { copies[$0] == .replicated } }
    /// The most experts that any place hosts.
    public var mostExpertsOfPlace: Int { expertsOfPlace.reduce(0) { max($0, $1.count) } }
}
