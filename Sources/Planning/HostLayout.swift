import Autograd
import MixtureOfExperts
import Training

/// Ranks on hosts, as many on each: neighbours together.
struct HostLayout {
    let layout: ParallelLayout
    let hosts: Int

    /// - Precondition: the hosts have as many ranks each.
    init(_ layout: ParallelLayout, hosts: Int) {
        precondition(layout.ranks % hosts == 0, "hosts have as many ranks each")
        self.layout = layout
        self.hosts = hosts
    }

    var ranksPerHost: Int { layout.ranks / hosts }
    func host(ofRank rank: Int) -> Int { rank / ranksPerHost }

    /// The hosts of the first expert-parallel group's places.
    var placeHosts: PlaceHosts { PlaceHosts((0..<layout.expertParallel).map(host)) }

    /// Bytes that cross the busiest host's link, in the direction that has more, and bytes that the busiest rank moves within its
    /// host, likewise.
    struct Traffic: Equatable {
        var between = 0.0
        var within = 0.0

        /// Where a share of what would cross does not, because it is passed on within hosts.
        func passingOn(_ share: Double) -> Traffic {
            Traffic(between: between * (1 - share), within: within + between * share)
        }
    }

    /// A movement of rows from tokens to experts: a rank with tokens (`isActive`) at a place sends each place of its group
    /// `bytes[own part][place]`. The way back is the same in the other direction.
    func rows(_ bytes: [[Double]], isActive: [Bool]) -> Traffic {
        var out = [Double](repeating: 0, count: hosts), into = out, most = 0.0
        let places = layout.expertParallel
        for rank in 0..<layout.ranks {
            let at = layout.place(ofRank: rank), first = rank - at, own = host(ofRank: rank)
            var sent = 0.0, received = 0.0
            for place in 0..<places where first + place != rank {
                let leaving = isActive[rank] ? bytes[at / layout.partSize][place] : 0
                let coming = isActive[first + place] ? bytes[place / layout.partSize][at] : 0
                if host(ofRank: first + place) == own {
                    sent += leaving
                    received += coming
                } else {
                    out[own] += leaving
                    into[own] += coming
                }
            }
            most = max(most, sent, received)
        }
        return Traffic(between: max(out.max() ?? 0, into.max() ?? 0), within: most)
    }

    /// A sum of a placement's gradients, of which every rank sends its peers `bytes` together, each as many.
    func sums(_ placement: ParameterPlacement, bytes: Double) -> Traffic {
        var out = [Double](repeating: 0, count: hosts), within = 0.0
        for rank in 0..<layout.ranks {
            let elsewhere = Double(peersElsewhere(of: rank, placement)), peers = Double(layout.holders(placement) - 1)
            guard peers > 0 else { continue }
            out[host(ofRank: rank)] += bytes * elsewhere / peers
            within = max(within, bytes * (peers - elsewhere) / peers)
        }
        return Traffic(between: out.max() ?? 0, within: within)
    }

    private func peersElsewhere(of rank: Int, _ placement: ParameterPlacement) -> Int {
        let sharing = layout.sharing(placement)
        guard sharing > 1 else { return layout.ranks - ranksPerHost }
        return stride(from: rank % sharing, to: layout.ranks, by: sharing).count { host(ofRank: $0) != host(ofRank: rank) }
    }

    /// Holders of a rank's parameters that are on other hosts, where it has most.
    func mostHoldersElsewhere(_ placement: ParameterPlacement) -> Int {
        (0..<layout.ranks).reduce(0) { max($0, peersElsewhere(of: $1, placement)) }
    }

    /// Of a rank's expert-parallel group, the peers of a rank on other hosts, where it has most.
    func mostPlacesElsewhere() -> Int {
        (0..<layout.ranks).reduce(0) { most, rank in
            let first = rank - layout.place(ofRank: rank)
            return max(most, (0..<layout.expertParallel).count { host(ofRank: first + $0) != host(ofRank: rank) })
        }
    }
}
