import Autograd
import Collectives
import DataPipeline
import Foundation
import MixtureOfExperts
import NeuralLayers
import TensorCore
import TransformerModel

/// Runs updates: token groups forward and backward, gradients summed from the last backward on, clipped, Adam.
///
/// What an update computes depends on the seed, the update and its groups, to the bit: which rank computes a group changes nothing,
/// for gradients are added up by a tree over the groups' numbers, and everything else without rounding.
public final class Trainer {
    private var parts: TrainedParts
    public let configuration: TrainingConfiguration
    private let groups: ParallelGroups
    private var synchronizer: GradientSynchronizer
    private let bucketBytes: Int
    private let tree: TokenGroupTree
    private let schedule: LearningRateSchedule
    private let source: any TokenGroupSource
    /// Operations a second that the world's processors reach with large products; nil: not known.
    private let peakFlops: Double?
    /// Updates in a row that were skipped because something was not finite.
    private var skipped = 0
    /// The last update done.
    public private(set) var update: Int
    /// Updates that were applied: those that were not skipped.
    public private(set) var applied: Int
    /// Updates before the run's first that had moved the moments which it began with: Adam corrects for them too.
    public let earlierUpdates: Int

    /// The experts of each block that exist, and what is recorded of them; nil where they stay.
    public private(set) var pools: [ExpertPool]?
    /// How they changed after the last update, by block; none if they did not.
    public private(set) var poolChanges: [PoolChange] = []

    /// Finds which experts are to have copies; nil: none are to.
    private var hotExperts: HotExperts?

    /// More skipped updates in a row than this, and training stops.
    private static let mostSkipped = 10

    /// `startingAfter` is the update that the parameters and moments come from, 0 for a new run, and `applied` how many of
    /// those up to it were not skipped; nil: all. `earlierUpdates` had moved the moments before the run. `pools` are the
    /// model's, as they were then; nil: nothing is recorded yet. Gradients are summed in buckets of `bucketBytes`.
    /// `replicas`: whether experts may come to have copies on all ranks.
    /// `peakFlops` is what the world's processors reach with large products, operations a second, where updates are to say
    /// how much of it they use.
    public init(
        model: TranslationModel, optimizer: Adam, average: ParameterAverage? = nil, groups: ParallelGroups,
        source: any TokenGroupSource,
        configuration: TrainingConfiguration, startingAfter update: Int = 0,
        applied: Int? = nil, earlierUpdates: Int = 0, pools: [ExpertPool]? = nil,
        replicas: ExpertReplicas = .off, bucketBytes: Int = GradientSynchronizer.bucketBytes, peakFlops: Double? = nil
    ) throws {
        parts = TrainedParts(model: model, optimizer: optimizer, average: average)
        self.bucketBytes = bucketBytes
        self.groups = groups
        self.source = source
        self.peakFlops = peakFlops
        self.configuration = configuration
        self.update = update
        self.applied = applied ?? update
        self.earlierUpdates = earlierUpdates
        tree = TokenGroupTree(groups: source.groups)
        synchronizer = try GradientSynchronizer(
            groups: groups, store: model.store, context: model.context, tokenGroups: source.groups,
            isSharded: optimizer.isSharded, bucketBytes: bucketBytes)
        schedule = LearningRateSchedule(configuration)
        if model.configuration.mixture?.pool != nil {
            self.pools = pools ?? model.blocks.map { ExpertPool(block: $0.name, experts: $0.placement.existing) }
        }
        if replicas == .auto, groups.layout.expertParallel > 1 {
            hotExperts = try HotExperts(of: model, groups, tokenGroups: source.groups)
        }
    }

    /// The experts of each block that are to have copies on all ranks, by what was chosen since this was last asked, the same on every
    /// rank; nil: those that have.
    public func nextReplicas() -> [String: [Int]]? {
        guard let next = hotExperts?.decide(for: model.blocks) else { return nil }
        return next == model.replicated ? nil : next
    }

    /// Another one after an update that changed which experts exist; so are optimizer and average.
    public var model: TranslationModel { parts.model }
    public var optimizer: Adam { parts.optimizer }
    /// Of the parameters; nil where none is kept.
    public var average: ParameterAverage? { parts.average }

    /// Does the next update. If any rank is interrupted or overdue, all are told so: they end alike, whatever a rank's own
    /// clock says. An interruption goes before the time limit.
    public func step(
        isInterrupted: Bool = false, isOverdue: Bool = false
    ) throws -> (metrics: UpdateMetrics, end: TrainingEnd?) {
        let start = ContinuousClock.now
        update += 1
        let targetTokens = source.targetTokens(update: update)
        let mixture = model.configuration.mixture, operations = model.context.clock.flops
        let existing = model.blocks.map { Set($0.placement.existing) }
        let isRecorded = mixture?.pool?.records(update: update) == true
        var sums = Sums(
            strata: mixture?.widest.strata ?? [], blocks: model.blocks.map(\.configuration.strata),
            records: isRecorded ? model.blocks.map(\.emptyRecords) : [])
        let totalTokens = max(targetTokens.reduce(0, +), 1)
        let own = tree.groups(ofRank: groups.world.rank, of: groups.world.size)
        let most = groups.layout.mostGroups(of: source.groups), lanes = model.store.laneCount
        for first in stride(from: 0, to: most, by: lanes) {
            let round = (first..<min(first + lanes, most)).map {
                $0 < own.count
                    ? source.group(update: update, index: own.lowerBound + $0) : TokenGroup.empty(index: source.groups)
            }
            try run(round, totalTokens: totalTokens, isLast: first + lanes >= most, into: &sums)
        }
        sums.flops = model.context.clock.flops - operations
        sums.interrupted = isInterrupted ? 1 : 0
        sums.overdue = isOverdue ? 1 : 0
        let norm = try model.context.clock.measure(.communication, "gradient sums") {
            try sums.reduce(groups.world)
            hotExperts?.add(sums.blocks)
            try synchronizer.sum()
            try model.store.handOnGradients(
                model.context, experts: groups.experts, partSize: groups.layout.partSize, isMasked: isMasked)
            return try synchronizer.norm()
        }
        let loss = sums.smoothed.value / Double(totalTokens)
        let isSkipped = try !apply(loss: loss, norm: norm)
        if !isSkipped {
            model.update(loads: sums.blocks)
            average?.update(applied: applied)
            for (block, records) in sums.records.enumerated() { pools?[block].add(records) }
        }
        if let pool = mixture?.pool { try adapt(pool, isSkipped: isSkipped) }
        let elapsed = (ContinuousClock.now - start) / .seconds(1)
        let metrics = UpdateMetrics(
            update: update, loss: loss, nll: sums.likelihood.value / Double(totalTokens),
            learningRate: Double(schedule.rate(update: update)), gradientNorm: norm, targetTokens: totalTokens,
            tokensPerSecond: Double(totalTokens) / elapsed, requestedCapacity: sums.statistics.requestedCapacity,
            droppedFraction: sums.statistics.droppedFraction, load: sums.statistics.load,
            loadViolation: zip(sums.blocks, zip(model.blocks, existing)).map { sums, block in
                sums.load.indices.map { stratum in
                    let visible = block.0.configuration.visibleExperts(atStratum: stratum).filter(block.1.contains)
                    return RoutingStatistics.busiestOverMean(visible.map { sums.load[stratum][$0] })
                }
            },
            flopsUtilization: peakFlops.map { Double(sums.flops) / elapsed / $0 },
            skipped: isSkipped, figures: sums.figures + poolFigures)
        return (metrics, sums.interrupted > 0 ? .interrupted : sums.overdue > 0 ? .timeLimit : nil)
    }

    /// Forward and backward of a round's groups, one in each lane. After the last round's operations gradients are final.
    private func run(_ round: [TokenGroup], totalTokens: Int, isLast: Bool, into sums: inout Sums) throws {
        let shares = round.map { Double($0.targetTokens) / Double(totalTokens) }
        /// Lanes that may still add to a parameter's gradient.
        var unfinished: [ObjectIdentifier: Int] = [:]
        func finish(_ parameters: [Parameter]) throws {
            try synchronizer.advance(
                final: parameters.filter { parameter in
                    let left = unfinished[ObjectIdentifier(parameter), default: round.count] - 1
                    unfinished[ObjectIdentifier(parameter)] = left
                    return left == 0
                })
        }
        let losses = try model.context.inTurns(
            round.count, rank: groups.world.rank, onTurn: { [store = model.store] in store.lane = $0 }
        ) { lane in
            let tape = Tape(model.context, recording: true, recomputing: configuration.recompute)
            let key = RandomKey(seed: configuration.seed).derived(update).derived(round[lane].index)
            let loss = try model.loss(
                round[lane].batch, on: tape, isTraining: true, key: key, smoothing: configuration.labelSmoothing,
                gradientScale: 1 / Float(totalTokens), auxiliaryScale: Float(shares[lane]))
            if isLast {
                // Not every parameter has a gradient: selection biases are moved by loads, and a group may leave out a network.
                try finish(model.store.summed.filter { !tape.addsToGradient(of: $0) })
                try tape.backward(progress: finish)
            } else {
                try tape.backward()
            }
            return loss
        }
        if !isLast { synchronizer.endRound() }
        for (loss, share) in zip(losses, shares) { sums.add(loss, share: share) }
    }

    /// Whether this update leaves what a derived matrix shares with others as it is.
    private func isMasked(_ weight: any DerivedWeight) -> Bool {
        guard weight.mask > 0 else { return false }
        let key = RandomKey(seed: configuration.seed).derived(update).derived(weight.shared.slices[0].name)
        return key.uniform(0) < weight.mask
    }

    /// Whether the update was done; it is skipped if something is not finite.
    private func apply(loss: Double, norm: Double) throws -> Bool {
        guard loss.isFinite, norm.isFinite else {
            skipped += 1
            for placement in ParameterPlacement.allCases { model.store.section(placement).gradients.fill(0) }
            guard skipped <= Self.mostSkipped else {
                throw TrainingError.nonFinite(update: update, loss: loss, gradientNorm: norm, skipped: skipped)
            }
            return false
        }
        skipped = 0
        applied += 1
        let limit = Double(configuration.clipNorm)
        let scale = limit > 0 && norm > limit ? limit / norm : 1
        model.context.clock.measure(.optimizer, "adam") {
            optimizer.step(
                update: earlierUpdates + applied, learningRate: schedule.rate(update: update), gradientScale: Float(scale),
                leavingOut: model.store.derived.filter(isMasked).map(\.shared))
        }
        if optimizer.isSharded {
            try model.context.clock.measure(.communication, "gather values") { try synchronizer.gatherValues() }
        }
        model.context.clock.measure(.optimizer, "derived matrices") { model.store.refresh() }
        return true
    }

    /// At the end of a window has each block's experts change by what the world has recorded, the same on every rank; a skipped
    /// update changes nothing, and its window is lost. A collective operation.
    private func adapt(_ pool: any PoolMethod, isSkipped: Bool) throws {
        poolChanges = []
        guard pool.adapts(after: update), var pools else { return }
        let changes = zip(model.blocks, pools).map { block, pool in
            isSkipped ? nil : pool.records.flatMap(block.change(after:))
        }
        for (index, change) in changes.enumerated() {
            if let change {
                for elements in model.blocks[index].applyToGates(change) {
                    optimizer.forget(elements, .replicated)
                    average?.restart(elements, .replicated)
                }
            }
            pools[index].endWindow(change)
        }
        self.pools = pools
        if changes.contains(where: { $0 != nil && $0 != PoolChange() }) { poolChanges = changes.map { $0 ?? PoolChange() } }
        guard changes.contains(where: { $0?.changesExperts ?? false }) else { return }
        parts = try parts.remade(changes, experts: pools.map(\.experts), groups: groups, seed: configuration.seed)
        synchronizer = try GradientSynchronizer(
            groups: groups, store: model.store, context: model.context, tokenGroups: source.groups,
            isSharded: optimizer.isSharded, bucketBytes: bucketBytes)
    }

    /// Experts that exist, over all blocks.
    private var poolFigures: [MetricFigure] {
        pools.map { [MetricFigure(name: "experts_existing", value: Double($0.reduce(0) { $0 + $1.experts.count }))] } ?? []
    }

    /// The loss on held-out groups, group i on rank i mod ranks; ranks without one step along with empty groups. `afterRound` is
    /// called on all ranks alike, after each; `bleu`, if given, measures the BLEU of the same parameters' translations.
    public func validate(
        _ heldOut: EvaluationGroups, bleu: (() throws -> Double)? = nil, afterRound: () throws -> Void = {}
    ) throws -> ValidationMetrics {
        func metrics() throws -> ValidationMetrics {
            var metrics = try measure(heldOut, afterRound)
            metrics.validBLEU = try bleu?()
            return metrics
        }
        guard configuration.validatesAverage, let average else { return try metrics() }
        // A save under way has a copy of its own.
        try exchange(average)
        let ofAverage = try metrics()
        try exchange(average)
        return ofAverage
    }

    private func exchange(_ average: ParameterAverage) throws {
        average.exchange()
        if optimizer.isSharded { try synchronizer.gatherValues() }
        model.store.refresh()
    }

    private func measure(_ heldOut: EvaluationGroups, _ afterRound: () throws -> Void) throws -> ValidationMetrics {
        var sums = Sums(strata: model.configuration.mixture?.widest.strata ?? [])
        let ranks = groups.world.size
        for round in 0..<(heldOut.count + ranks - 1) / ranks {
            let index = round * ranks + groups.world.rank
            let group = index < heldOut.count ? heldOut[index] : TokenGroup.empty(index: index)
            let loss = try model.loss(
                group.batch, on: Tape(model.context, recording: false), isTraining: false,
                key: RandomKey(seed: configuration.seed), smoothing: configuration.labelSmoothing)
            sums.add(loss, share: 0)
            try afterRound()
        }
        try sums.reduce(groups.world)
        let tokens = Double(max(sums.tokens, 1)), nll = sums.likelihood.value / tokens
        return ValidationMetrics(
            update: update, validLoss: sums.smoothed.value / tokens, validNll: nll, validPerplexity: exp(nll),
            validTokens: sums.tokens, validRequestedCapacity: sums.statistics.requestedCapacity)
    }
}

/// What ranks add up about an update, without rounding.
private struct Sums {
    var smoothed = ExactSum()
    var likelihood = ExactSum()
    var tokens = 0
    /// Ranks that were asked to stop, and ranks that find the time is up.
    var interrupted = 0
    var overdue = 0
    /// Operations of the model's products.
    var flops = 0
    /// What the blocks report, in their order, which is the same on all ranks.
    private var reported: [(name: String, sum: ExactSum)] = []
    var statistics: RoutingStatistics
    /// Statistics of each block, encoder's first; empty in validation.
    var blocks: [RoutingStatistics]
    /// Records of each block's gates, likewise.
    private(set) var records: [[GateRecord]]

    /// `strata` are at least as large as those of each of the `blocks`. `records`: those of no tokens, where somebody asks.
    init(strata: [Int], blocks: [[Int]] = [], records: [[GateRecord]] = []) {
        statistics = RoutingStatistics(strata: strata)
        self.blocks = blocks.map(RoutingStatistics.init(strata:))
        self.records = records
    }

    /// `share` of the update's target tokens is the group's.
    mutating func add(_ loss: TranslationModel.BatchLoss, share: Double) {
        smoothed += loss.output.smoothed
        likelihood += loss.output.negativeLogLikelihood
        tokens += loss.output.tokens
        let figures = loss.figures
        if reported.isEmpty { reported = figures.map { ($0.name, ExactSum()) } }
        precondition(reported.map(\.name) == figures.map(\.name), "blocks report the same figures for every token group")
        for (index, figure) in figures.enumerated() {
            reported[index].sum += Double(figure.value) * (figure.combination == .mean ? share : 1)
        }
        for (block, report) in loss.reports.enumerated() {
            statistics += report.statistics
            if !blocks.isEmpty { blocks[block] += report.statistics }
            guard !records.isEmpty else { continue }
            for (gate, record) in report.records.enumerated() { records[block][gate] += record }
        }
    }

    var figures: [MetricFigure] { reported.map { MetricFigure(name: $0.name, value: $0.sum.value) } }

    /// Sums over the world: one small collective of integers for all of it.
    mutating func reduce(_ world: any Communicator) throws {
        var values: [Int64] = []
        forEachCount { values += $0 }
        try world.allReduce(&values, .sum)
        var next = 0
        forEachCount { counts in
            counts = Array(values[next..<next + counts.count])
            next += counts.count
        }
    }

    /// Calls `body` with everything that is added up, as integers, always in the same order.
    private mutating func forEachCount(_ body: (inout [Int64]) -> Void) {
        func visit(_ number: inout Int) {
            var counts = [Int64(number)]
            body(&counts)
            number = Int(counts[0])
        }
        func visit(_ statistics: inout RoutingStatistics) {
            var counts = statistics.counts.map(Int64.init)
            body(&counts)
            statistics.counts = counts.map(Int.init)
        }
        visit(&tokens)
        visit(&interrupted)
        visit(&overdue)
        visit(&flops)
        visit(&statistics)
        for block in blocks.indices { visit(&blocks[block]) }
        for block in records.indices {
            for gate in records[block].indices { body(&records[block][gate].counts) }
        }
        body(&smoothed.counts)
        body(&likelihood.counts)
        for index in reported.indices { body(&reported[index].sum.counts) }
    }
}
