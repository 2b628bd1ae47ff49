import MixtureOfExperts

/// A round of a rank's token groups where messages move while it computes: a processor, which computes or waits, and a way to the
/// peers, on which what is sent goes one after another. All ranks do the same at the same time, so that what comes has arrived when
/// as much has left. Times are in seconds.
///
/// It follows `DispatchPlan.pass`, which computes own rows while others travel, and others part after part, and
/// `ComputeContext.inTurns`: of several groups one computes while rows of the others travel.
struct RoundTimeline {
    /// A stratum of a block, as a token group passes it.
    struct Stratum {
        /// Whether it is its block's first, which layers come before.
        let isFirst: Bool
        /// The experts' products, forward and backward.
        let experts: Double
        /// The share of the experts' rows that are of their own place.
        let stays: Double
        /// Experts of a place: runs of its own rows that are computed in one go; and groups of peers, of each of which the rows of
        /// one expert are a part that travels.
        let places: (experts: Int, peers: Int)
        /// All rows of a place's experts, as far as they can be computed as they arrive; nil: what is passed on within hosts cannot.
        let rows: Double?
        /// The exchange of how many rows there will be, which is waited for.
        let counts: Double
        /// Rows on one of their four ways, and what that takes of the processor.
        let way: Double
        let moving: Double

        /// All exchanges, with nothing beside them.
        var exchanges: Double { counts + 4 * way }
        /// Whether rows are computed as they arrive.
        var isPartwise: Bool { rows ?? 0 >= Double(DispatchPlan.fewestRowsAtATime * (places.experts + parts)) }
        var parts: Int { places.experts * places.peers }
    }

    /// A token group: layers without experts and the loss, forward and backward, and the strata of all blocks in forward's order.
    /// Layers are taken to be as long before each block.
    struct Group {
        let layers: Double
        let loss: Double
        let strata: [Stratum]

        /// Layers before a stratum.
        fileprivate func layers(before stratum: Int) -> Double {
            strata[stratum].isFirst ? layers / Double(strata.count { $0.isFirst }) : 0
        }
    }

    /// Gradient sums that begin while an update's last backward goes on: seconds of the way, of the processor, and in how many pieces.
    struct Sums {
        var way: Double
        var moving: Double
        var buckets: Int
    }

    /// When the processor has done all of it, and what of that it computed.
    private(set) var now = 0.0
    private(set) var computed = 0.0
    /// When all that was sent has arrived.
    private var free = 0.0
    private let groups: [Group]
    private let looks: Double
    private let sums: Sums

    /// What is still on its way at the end: gradients.
    var underWay: Double { max(0, free - now) }

    /// Groups with as many strata each, which run in turns where they are several. `looks`: what looking after messages takes of the
    /// processor while something travels, over what it computes meanwhile. `sums` are of the last group to compute a layer.
    init(_ groups: [Group], looks: Double, sums: Sums = Sums(way: 0, moving: 0, buckets: 0)) {
        self.groups = groups
        self.looks = looks
        self.sums = sums
        guard !groups[0].strata.isEmpty else {
            for (lane, group) in groups.enumerated() {
                compute(group.layers / 3 + group.loss)
                computeBackward(group.layers * 2 / 3, isLast: lane == groups.count - 1, share: 1)
            }
            return
        }
        runBackward(runForward())
    }

    /// Returns when each group's last rows have come back.
    private mutating func runForward() -> [Double] {
        var back = groups.map { _ in now }
        for index in groups[0].strata.indices {
            var there: [[Double]] = []
            for (lane, group) in groups.enumerated() {
                let stratum = group.strata[index]
                wait(until: back[lane])
                compute(group.layers(before: index) / 3)
                // What is waited for stands in line behind rows that are under way.
                wait(until: free)
                now += stratum.counts
                there.append(sendAll(stratum))
            }
            for (lane, group) in groups.enumerated() {
                back[lane] = pass(group.strata[index], there[lane])
            }
        }
        return back
    }

    private mutating func runBackward(_ forward: [Double]) {
        var back = forward
        let strata = groups[0].strata, blocks = Double(strata.count { $0.isFirst })
        for index in strata.indices.reversed() {
            var there: [[Double]] = []
            for (lane, group) in groups.enumerated() {
                wait(until: back[lane])
                if index == strata.count - 1 {
                    compute(group.loss)
                } else if strata[index + 1].isFirst {
                    computeBackward(
                        group.layers(before: index + 1) * 2 / 3, isLast: lane == groups.count - 1, share: 1 / blocks)
                }
                there.append(sendAll(group.strata[index]))
            }
            for (lane, group) in groups.enumerated() {
                back[lane] = pass(group.strata[index], there[lane])
                // The weights' gradients, while the rows' travel.
                compute(group.strata[index].experts / 3)
            }
        }
        for (lane, group) in groups.enumerated() {
            wait(until: back[lane])
            computeBackward(group.layers(before: 0) * 2 / 3, isLast: lane == groups.count - 1, share: 1 / blocks)
        }
    }

    /// Backward of layers, of a `share` of all: the last group's makes their gradients final, bucket after bucket, and these stand in
    /// line with rows.
    private mutating func computeBackward(_ seconds: Double, isLast: Bool, share: Double) {
        guard isLast, sums.way > 0 else { return compute(seconds) }
        let pieces = max(1, Int(Double(sums.buckets) * share))
        for _ in 0..<pieces {
            compute(seconds / Double(pieces))
            free = max(free, now) + sums.way * share / Double(pieces)
            now += sums.moving * share / Double(pieces)
        }
    }

    /// Has rows computed as they arrive, and sent back: a third of the experts' products, in forward as in backward. Returns when all
    /// have come back.
    private mutating func pass(_ stratum: Stratum, _ arrivals: [Double]) -> Double {
        let seconds = stratum.experts / 3
        guard stratum.isPartwise else {
            wait(until: arrivals[arrivals.count - 1])
            compute(seconds)
            send(stratum, share: 1)
            return free
        }
        let piece = seconds * stratum.stays / Double(stratum.places.experts)
        let part = seconds * (1 - stratum.stays) / Double(stratum.parts)
        var own = stratum.places.experts
        for arrival in arrivals {
            while now < arrival, own > 0 {
                compute(piece)
                own -= 1
            }
            wait(until: arrival)
            compute(part)
            send(stratum, share: 1 / Double(stratum.parts))
        }
        let back = free
        compute(piece * Double(own))
        return back
    }

    private mutating func compute(_ seconds: Double) {
        // Where something travels, looking after it takes a share.
        let beside = min(seconds, max(0, free - now) / (1 + looks))
        now += seconds + beside * looks
        computed += seconds
    }

    private mutating func wait(until arrival: Double) { now = max(now, arrival) }

    /// Sends all rows of a way; when each part has come. What goes to several peers at once shares the way: the rows of the first
    /// expert come from all of them before the next one's.
    private mutating func sendAll(_ stratum: Stratum) -> [Double] {
        let begin = max(free, now), experts = stratum.places.experts
        send(stratum, share: 1)
        return (0..<stratum.places.peers).flatMap { _ in
            (1...experts).map { begin + stratum.way * Double($0) / Double(experts) }
        }
    }

    private mutating func send(_ stratum: Stratum, share: Double) {
        free = max(free, now) + stratum.way * share
        now += stratum.moving * share
    }
}
