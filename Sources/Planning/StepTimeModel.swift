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
/// rows. Gradients are summed at the last round's end. Not known to it: switches that several hosts' traffic meets in, anything that
/// moves while nobody asks, other programs on the hosts.
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
    let overlap: Overlap

    /// What goes on while ranks compute.
    struct Overlap: Equatable {
        /// The share of the last round's backward in which gradient sums move.
        let gradients: Double
        /// The share of the experts' products behind which rows hide.
        let rows: Double

        /// Nothing that could be measured: without a communication thread messages move when a rank looks after them, between
        /// operations. What the thread hides is not known to the model, so that its times are too long where there is one.
        static let polled = Overlap(gradients: 0, rows: 0)
    }

    /// `link` nil: what was measured between hosts.
    ///
    /// - Throws: `PlanningError` if the machine was measured in another precision than the model's.
    public init(
        _ plan: ModelPlan, _ configuration: RunConfiguration, machine: MachineFigures, link: LinkRate? = nil,
        skew: ExpertSkew = .uniform, seed: UInt64 = 1
    ) throws {
        try self.init(
            plan, configuration, machine: machine, link: link, skew: skew, seed: seed, overlap: .polled)
    }

    init(
        _ plan: ModelPlan, _ configuration: RunConfiguration, machine: MachineFigures, link: LinkRate?, skew: ExpertSkew,
        seed: UInt64,
        overlap: Overlap
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
        self.overlap = overlap
    }

    /// The time of an update on `ranks` ranks of `threads` threads each (nil: as many as were measured), as many on each host.
    ///
    /// - Throws: `PlanningError` if the hosts cannot have as many ranks each, or if nothing is known of the way between them or between
    ///   ranks; `PlacementError` if the experts cannot be spread over so many ranks.
    public func time(ranks: Int, hosts: Int, threads: Int? = nil) throws -> StepTime {
        guard hosts >= 1, ranks % hosts == 0 else { throw PlanningError.unequalHosts(ranks: ranks, hosts: hosts) }
        let rank = try RankPlan(plan, configuration, ranks: ranks)
        let layout = HostLayout(rank.layout, hosts: hosts)
        let network = try network(layout)
        let speed = Double(threads ?? machine.threads) / Double(machine.threads)
        let work = StepWork(plan, configuration)
        let active = rank.layout.activeRanks(tokenGroups: configuration.training.tokenGroups)
        var time = StepTime()
        // All rounds but the last are full.
        for (isActive, rounds) in [(active[0], active.count - 1), (active[active.count - 1], 1)] where rounds > 0 {
            addCompute(work, isActive, rounds: Double(rounds), speed, to: &time)
            addBlocks(work, rank, layout, network, isActive, rounds: Double(rounds), speed, to: &time)
        }
        let round = (time.total) / Double(active.count)
        addGradients(rank, layout, network, backward: round * 2 / 3, rounds: active.count, speed, to: &time)
        time.tokens = work.tokens * Double(configuration.training.tokenGroups)
        time.busyRanks = Double(configuration.training.tokenGroups) / Double(active.count * ranks)
        return time
    }

    private func addCompute(_ work: StepWork, _ isActive: [Bool], rounds: Double, _ speed: Double, to time: inout StepTime) {
        let dim = plan.configuration.dim
        func seconds(_ amount: Double, _ kind: KeyPath<MachineFigures.Width, Double>) -> Double {
            rounds * amount / (machine.speed(kind, dim: dim) * speed)
        }
        let dense = seconds(work.dense, \.dense), loss = seconds(work.loss, \.loss)
        let attention = seconds(work.attention, \.attention), passes = seconds(work.passes, \.passes)
        time.dense += dense
        time.loss += loss
        time.attention += attention
        time.passes += passes
        guard !machine.sharesCores else { return }
        time.waiting += (dense + loss + attention + passes) * work.spread * Self.expectedMaximum(of: isActive.count { $0 })
    }

    /// The mixture blocks of a round: products of experts, the waiting for the place with most, and rows on their way.
    private func addBlocks(
        _ work: StepWork, _ rank: RankPlan, _ layout: HostLayout, _ network: Network, _ isActive: [Bool], rounds: Double,
        _ speed: Double, to time: inout StepTime
    ) {
        guard let mixture = plan.configuration.mixture else { return }
        let places = layout.layout.expertParallel, ranks = layout.layout.ranks
        /// The most ranks with tokens of neighbours that share a copy of an expert.
        func busiest(_ ranks: Int) -> Double {
            Double(stride(from: 0, to: isActive.count, by: ranks).map { isActive[$0..<$0 + ranks].count { $0 } }.max() ?? 0)
        }
        let busiestOfPart = busiest(layout.layout.partSize), busiest = busiest(places),
            dim = plan.configuration.dim / mixture.rowsPerToken
        let key = RandomKey(seed: seed).derived("loads")
        let elsewhere = layout.mostPlacesElsewhere()
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
                time.experts += rounds * mean
                if !machine.sharesCores { time.waiting += rounds * ((seconds.max() ?? 0) - mean) }
                guard places > 1 else { continue }
                let bytes = rowTraffic.bytes(rows, routing, atStratum: stratum).map { $0.map { work.tokens * $0 } }
                let traffic = layout.rows(bytes, isActive: isActive)
                // How many rows come is one message to each peer; rows are one for each expert there.
                let experts = placement.expertsOfPlace.map { $0.count { rows[$0] > 0 } }.max() ?? 0
                let messages = 1 + Double(experts * rowTraffic.ways(atStratum: stratum))
                let exchange =
                    network.seconds(traffic) + messages * network.latency(peers: places - 1, elsewhere: elsewhere)
                time.rows += rounds * max(0, exchange - overlap.rows * mean)
                time.linkBytes += rounds * traffic.between
                time.rowBytes += rounds * RowTraffic.leaving(bytes) * Double(isActive.count { $0 }) / Double(ranks)
            }
        }
    }

    private func addGradients(
        _ rank: RankPlan, _ layout: HostLayout, _ network: Network, backward: Double, rounds: Int, _ speed: Double,
        to time: inout StepTime
    ) {
        let float = 4.0, memory = machine.optimizerBytes * speed, training = configuration.training
        let summed = Double(ParameterPlacement.allCases.reduce(0) { $0 + rank.summedParameters[$1] })
        // Adam reads four numbers and writes them; the norm reads gradients once; the sums of earlier rounds are added to: two are
        // read and two written. An average is read and written with the value.
        let average = training.averageDecay > 0 ? 3.0 : 0
        let updated = Double(rank.updatedParameters) * (9 + average)
        time.optimizer += float * (updated + Double(rounds - 1) * 4 * summed) / memory
        var moving = 0.0, hidden = 0.0
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
            moving += seconds
            // Values that ranks have updated for each other wait for the update.
            let parts = Double(rank.layout.gradientParts(placement, tokenGroups: training.tokenGroups))
            hidden += configuration.parallel.shardOptimizer ? seconds * parts / (1 + parts) : seconds
            time.linkBytes += traffic.between
            time.gradientBytes += bytes
        }
        guard layout.layout.ranks > 1 else { return }
        // What is told of the update, the norm, and who was interrupted.
        let small = 3 * network.latency(peers: layout.layout.ranks - 1, elsewhere: layout.mostHoldersElsewhere(.replicated))
        time.gradients += moving - min(hidden, overlap.gradients * backward) + small
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
