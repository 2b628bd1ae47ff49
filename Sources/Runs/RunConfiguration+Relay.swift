import Collectives
import MixtureOfExperts
import Training

extension RunConfiguration {
    /// The share of the bytes between hosts that passing rows on within them must save to be worth while: what is passed on is sent
    /// twice, and rows that come so cannot be computed before all have come (Docs/Performance.md).
    static let leastSavingOfRelay = 0.1

    /// The hosts of an expert-parallel group's ranks, of which this one is on `host`, where rows are passed on within them; nil: they
    /// are not. A collective operation of the group.
    func relayHosts(_ group: any Communicator, _ layout: ParallelLayout, host: String?) throws -> PlaceHosts? {
        guard let host, parallel.hostRelay != .off, model.mixture != nil, group.size > 1 else { return nil }
        let hosts = try PlaceHosts(of: group, host: host)
        return passesOn(within: hosts, layout) ? hosts : nil
    }

    /// Whether rows are passed on within the hosts of a group's ranks.
    public func passesOn(within hosts: PlaceHosts, _ layout: ParallelLayout) -> Bool {
        guard parallel.hostRelay != .off, hosts.canPassOn, let mixture = model.mixture else { return false }
        guard parallel.hostRelay == .auto else { return true }
        return [mixture.ofEncoder, mixture.ofDecoder].allSatisfy { mixture in
            let placement = ExpertPlacement(
                strata: mixture.strata, places: layout.expertParallel, partSize: layout.partSize, widths: mixture.expertWidths)
            return placement.savedByRelay(hosts, mixture, wire: parallel.wire) >= Self.leastSavingOfRelay
        }
    }
}
