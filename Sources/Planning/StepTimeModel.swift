import Autograd
import Foundation
import MixtureOfExperts
import Runs
import TensorCore
import Training

/// Predicts an update's time: operations over the speeds that a machine was measured to have, bytes over those of memory and
/// links, messages times what one takes, and the waiting for the rank with most to do.
///
/// A rank goes through its rounds of token groups; in each the ranks meet at every stratum of every block, four times, to exchange
/// rows. Gradients are summed at the last round's end. Where messages move while a rank computes, they hide as far as a timeline of
/// a round has room for them (`RoundTimeline`); else nothing hides. Not known to it: switches that several hosts' traffic meets in,
/// other programs on the hosts.
public struct StepTimeModel {
    /// Ranks that a time is predicted for, at most: the work grows with their square.
    public static let mostRanks = 1024

    let plan: ModelPlan
    let configuration: RunConfiguration
    let machine: MachineFigures
    let link: LinkRate?
    let skew: ExpertSkew
    /// Draws which experts are busy.
    let seed: UInt64

    /// `link` nil: what was measured between hosts.
    ///
    /// - Throws: `PlanningError` if the machine was measured in another precision than the model's.
    public init(
        _ plan: ModelPlan, _ configuration: RunConfiguration, machine: MachineFigures, link: LinkRate? = nil,
        skew: ExpertSkew = .uniform, seed: UInt64 = 1
    ) throws {
        let compute = plan.configuration.compute.rawValue
        guard machine.compute == compute else {
            throw PlanningError(
                .usage,
                "the machine's figures must be of products in the model's precision, \(compute), but are of \(machine.compute): "
                    + "measure it with strata bench machine --compute \(compute), or set model.compute")
        }
        self.plan = plan
        self.configuration = configuration
        self.machine = machine
        self.link = link
        self.skew = skew
        self.seed = seed
    }

    /// The time of an update on `ranks` ranks of `threads` threads each (nil: as many as were measured), as many on each host.
    ///
    /// - Throws: `PlanningError` if the hosts cannot have as many ranks each, or if nothing is known of the way between them or between
    ///   ranks; `PlacementError` if the experts cannot be spread over so many ranks.
    public func time(ranks: Int, hosts: Int, threads: Int? = nil) throws -> StepTime {
        guard hosts >= 1, ranks % hosts == 0 else { throw PlanningError.unequalHosts(ranks: ranks, hosts: hosts) }
        let overlap = Overlap(configuration, machine, ranks: ranks, hosts: hosts, threads: threads)
        let rank = try RankPlan(plan, configuration, ranks: ranks, movesWhileComputing: overlap.movesWhileComputing)
        let layout = HostLayout(rank.layout, hosts: hosts)
        let network = try network(layout)
        let speed = Double(threads ?? machine.threads) / Double(machine.threads)
        let work = StepWork(plan, configuration)
        let active = rank.layout.activeRanks(tokenGroups: configuration.training.tokenGroups)
        var time = StepTime()
        func group(_ isActive: [Bool], count: Int) -> RoundTimeline.Group {
            let (layers, loss) = addCompute(work, isActive, groups: Double(count), speed, to: &time)
            let strata = addBlocks(work, rank, layout, network, overlap, isActive, groups: Double(count), speed, to: &time)
            return RoundTimeline.Group(layers: layers, loss: loss, strata: strata)
        }
        // All ranks have the groups but the last.
        let last = group(active[active.count - 1], count: 1)
        let usual = active.count > 1 ? group(active[0], count: active.count - 1) : last
        let sums = sums(rank, layout, network, overlap, groups: active.count, speed, to: &time)
        addCommunication(usual, last, sums, groups: active.count, inTurns: rank.groupsInTurns, overlap, to: &time)
        time.tokens = work.tokens * Double(configuration.training.tokenGroups)
        time.busyRanks = Double(configuration.training.tokenGroups) / Double(active.count * ranks)
        return time
    }

    /// What `groups` token groups, one after another, compute outside of experts. Returns the seconds of one: of layers, of the loss.
    private func addCompute(
        _ work: StepWork, _ isActive: [Bool], groups: Double, _ speed: Double, to time: inout StepTime
    ) -> (layers: Double, loss: Double) {
        let dim = plan.configuration.dim
        func seconds(_ amount: Double, _ kind: KeyPath<MachineFigures.Width, Double>) -> Double {
            amount / (machine.speed(kind, dim: dim) * speed)
        }
        let dense = seconds(work.dense, \.dense), loss = seconds(work.loss, \.loss)
        let attention = seconds(work.attention, \.attention), passes = seconds(work.passes, \.passes)
        time.dense += groups * dense
        time.loss += groups * loss
        time.attention += groups * attention
        time.passes += groups * passes
        let layers = dense + attention + passes
        if !machine.sharesCores {
            time.waiting += groups * (layers + loss) * work.spread * Self.expectedMaximum(of: isActive.count { $0 })
        }
        return (layers, loss)
    }

    /// The mixture blocks of `groups` token groups, one after another: products of experts, the waiting for the place with most, and
    /// what is sent. Returns the strata of one, in forward's order.
    private func addBlocks(
        _ work: StepWork, _ rank: RankPlan, _ layout: HostLayout, _ network: Network, _ overlap: Overlap, _ isActive: [Bool],
        groups: Double, _ speed: Double, to time: inout StepTime
    ) -> [RoundTimeline.Stratum] {
        guard let mixture = plan.configuration.mixture else { return [] }
        var strata: [RoundTimeline.Stratum] = []
        let places = layout.layout.expertParallel, ranks = layout.layout.ranks
        /// The most ranks with tokens of neighbours that share a copy of an expert.
        func busiest(_ ranks: Int) -> Double {
            Double(stride(from: 0, to: isActive.count, by: ranks).map { isActive[$0..<$0 + ranks].count { $0 } }.max() ?? 0)
        }
        let busiestOfPart = busiest(layout.layout.partSize), busiest = busiest(places),
            dim = plan.configuration.dim / mixture.rowsPerToken
        let key = RandomKey(seed: seed).derived("loads")
        let elsewhere = layout.mostPlacesElsewhere()
        let hosts = layout.placeHosts, passesOn = configuration.passesOn(within: hosts, layout.layout)
        let saved = zip(plan.kinds, rank.placements).map { kind, placement in
            passesOn ? placement.savedByRelay(hosts, kind.mixture, wire: configuration.parallel.wire) : 0
        }
        let kinds = plan.kinds.indices.flatMap { kind in (0..<plan.kinds[kind].count).map { _ in kind } }
        for (block, kind) in kinds.enumerated() {
            let routing = plan.kinds[kind].routing, placement = rank.placements[kind]
            let rowTraffic = RowTraffic(
                plan.kinds[kind], placement, dim: plan.configuration.dim, wire: configuration.parallel.wire)
            let skew = skew.narrowed(to: plan.kinds[kind].mixture, from: mixture.widest)
            let gates = skew.rows(routing, rowsPerToken: mixture.rowsPerToken, block: block, key: key)
            for (stratum, rows) in gates.enumerated() {
                var seconds = [Double](repeating: 0, count: places)
                for (place, experts) in placement.expertsOfPlace.enumerated() {
                    for expert in experts where rows[expert] > 0 {
                        let count = work.tokens * rows[expert]
                        time.rowMessageBytes = max(time.rowMessageBytes, count * rowTraffic.rowBytes)
                        let all = (placement.copies[expert] == .copiedExpert ? busiestOfPart : busiest) * count
                        seconds[place] +=
                            all * work.ofRow[kind][expert] / (machine.expertSpeed(dim: dim, rows: all) * speed)
                    }
                }
                let mean = seconds.reduce(0, +) / Double(places)
                time.experts += groups * mean
                if !machine.sharesCores { time.waiting += groups * ((seconds.max() ?? 0) - mean) }
                let bytes = rowTraffic.bytes(rows, routing, atStratum: stratum).map { $0.map { work.tokens * $0 } }
                let traffic = layout.rows(bytes, isActive: isActive).passingOn(saved[kind])
                // How many rows come is one message to each peer; rows are one for each expert there.
                let experts = placement.expertsOfPlace.map { $0.count { rows[$0] > 0 } }.max() ?? 0
                let latency = network.latency(peers: places - 1, elsewhere: elsewhere)
                strata.append(
                    RoundTimeline.Stratum(
                        isFirst: stratum == 0, experts: mean, stays: placement.shareThatStays(rows),
                        places: (max(1, experts), min(max(1, places - 1), 2)),
                        rows: passesOn ? nil : rows.reduce(0, +) * work.tokens,
                        counts: latency,
                        way: (network.seconds(traffic) + Double(experts * rowTraffic.ways(atStratum: stratum)) * latency) / 4,
                        moving: overlap.hasSpareProcessors ? 0 : network.processorSeconds(traffic) / 4))
                time.linkBytes += groups * traffic.between
                time.rowBytes += groups * RowTraffic.leaving(bytes) * Double(isActive.count { $0 }) / Double(ranks)
            }
        }
        return strata
    }

    /// The sums of the gradients, with the rank's own part in them and the optimizer's work, which `time` gets.
    private func sums(
        _ rank: RankPlan, _ layout: HostLayout, _ network: Network, _ overlap: Overlap, groups: Int, _ speed: Double,
        to time: inout StepTime
    ) -> GradientSums {
        let float = 4.0, memory = machine.optimizerBytes * speed, training = configuration.training
        let summed = Double(ParameterPlacement.allCases.reduce(0) { $0 + rank.summedParameters[$1] })
        // Adam reads four numbers and writes them; the norm reads gradients once; the sums of earlier groups are added to: two are
        // read and two written. An average is read and written with the value.
        let average = training.averageDecay > 0 ? 3.0 : 0
        let updated = Double(rank.updatedParameters) * (9 + average)
        time.optimizer += float * (updated + Double(groups - 1) * 4 * summed) / memory
        var all = 0.0, early = RoundTimeline.Sums(way: 0, moving: 0, buckets: 0)
        for placement in ParameterPlacement.allCases where rank.layout.holders(placement) > 1 {
            let bytes = Double(rank.gradientBytes[placement]), peers = rank.layout.holders(placement) - 1
            let traffic = layout.sums(placement, bytes: bytes)
            let buckets = (Double(rank.summedParameters[placement]) * float / Double(GradientSynchronizer.bucketBytes)).rounded(
                .up)
            // What comes is read, added to and written.
            let adding = 3 * bytes / 2 / memory
            let seconds =
                network.seconds(traffic) + adding
                + 2 * buckets * network.latency(peers: peers, elsewhere: layout.mostHoldersElsewhere(placement))
            all += seconds
            // Values that ranks have updated for each other wait for the update.
            let parts = Double(rank.layout.gradientParts(placement, tokenGroups: training.tokenGroups))
            let share = (configuration.parallel.shardOptimizer ? parts / (1 + parts) : 1) * earlyShare(placement, rank)
            early.way += share * seconds
            early.moving += overlap.hasSpareProcessors ? 0 : share * (network.processorSeconds(traffic) + adding)
            early.buckets += Int(buckets)
            time.linkBytes += traffic.between
            time.gradientBytes += bytes
        }
        // What is told of the update, the norm, and who was interrupted.
        let small = 3 * network.latency(peers: layout.layout.ranks - 1, elsewhere: layout.mostHoldersElsewhere(.replicated))
        return GradientSums(all: all + small, early: early)
    }

    /// The share of a placement's gradients that are final before backward ends: the embedding's, which is the output projection's too,
    /// is not.
    private func earlyShare(_ placement: ParameterPlacement, _ rank: RankPlan) -> Double {
        let summed = rank.summedParameters[placement], embedding = plan.vocabulary * plan.configuration.dim
        return placement == .replicated && summed > 0 ? Double(max(0, summed - embedding)) / Double(summed) : 1
    }

    /// How many standard deviations the largest of so many normal variables is above the mean, expected (Blom's approximation).
    static func expectedMaximum(of count: Int) -> Double {
        guard count > 1 else { return 0 }
        let share = (Double(count) - 0.375) / (Double(count) + 0.25)
        var (low, high) = (0.0, 8.0)
        for _ in 0..<50 {
            let middle = (low + high) / 2
            if 1 - erfc(middle / 2.0.squareRoot()) / 2 < share { low = middle } else { high = middle }
        }
        return low
    }
}
