import Autograd
import Checkpoints
import Collectives
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import Training
import _TestSupport
import _TinyRuns

/// Experts that come and go while training: the same bits on any ranks, and across resumptions on others.
@Suite(.hangLimit) struct ExpertPoolTests {
    /// Windows of two of every three updates: experts change after updates 2, 5, 8 and 11.
    private static func plan(
        strata: [Int] = [4, 5], initial: [Int] = [3, 3], minimum: Int = 2,
        newExpert: PoolAdaptation.NewExpert = .zeroOutput, updates: Int = 12
    ) -> TinyPlan {
        var plan = TinyPlan(strata: strata, updates: updates)
        plan.model.mixture?.routing = TopAnyChoice.routing
        plan.model.mixture?[TopAnyChoice.self].settings.scale = 4
        plan.model.mixture?[LoadBalancing.self].weight = 0
        plan.model.mixture?[PoolAdaptation.self].settings = .init(
            initial: initial, minimum: minimum, record: 2, period: 3, minimumTokens: 20, newExpert: newExpert)
        plan.model.mixture?.capacityFactor = nil
        (plan.training.tokenGroups, plan.training.tokensPerGroup, plan.training.averageDecay) = (6, 100, 0.9)
        plan.bucketBytes = 4096
        return plan
    }

    /// Makes an expert too dear for any token, before the first update.
    private static func plantUseless(_ experts: [Int], _ run: TinyRun) throws {
        guard run.trainer.update == 0 else { return }
        for block in run.model.blocks {
            for (stratum, gate) in block.configuration.strata.indices.enumerated() {
                let visible = block.configuration.visibleExperts(atStratum: gate)
                try run.model.store.forEachSlice { name, _, values, _ in
                    guard name == "\(block.name).gates.\(stratum).threshold" else { return }
                    for expert in experts where visible.contains(expert) { values[expert - visible.lowerBound] = 9 }
                }
            }
        }
    }

    private struct Outcome: Equatable, Sendable {
        let state: ModelState
        let metrics: [UpdateMetrics]
        /// After each update.
        let pools: [[ExpertPool]]
        let changes: [[PoolChange]]
        let validation: ValidationMetrics
    }

    /// How a run is computed: on so many ranks from each update on, each part but the first a resumption.
    struct Way: Sendable, CustomTestStringConvertible {
        var ranks: [(from: Int, count: Int)] = [(0, 1)]
        var expertParallel: Int?
        var threads = 1
        var isSharded = false
        var recomputes = false

        var testDescription: String {
            ranks.map { "\($0.count) ranks from \($0.from)" }.joined(separator: ", ")
                + ", expert-parallel \(expertParallel.map(String.init) ?? "auto"), \(threads) threads"
                + (isSharded ? ", sharded" : "") + (recomputes ? ", recomputing" : "")
        }
    }

    private static let ways = [
        Way(threads: 2, recomputes: true), Way(ranks: [(0, 2)]), Way(ranks: [(0, 2)], expertParallel: 1, isSharded: true),
        Way(ranks: [(0, 3)], isSharded: true), Way(ranks: [(0, 4)], isSharded: true), Way(ranks: [(0, 4)], threads: 2),
        // In the middle of windows, and at their ends.
        Way(ranks: [(0, 1), (4, 2), (7, 4), (10, 3)]), Way(ranks: [(0, 4), (5, 1), (8, 2)], isSharded: true),
    ]

    private static func outcome(_ plan: TinyPlan, _ way: Way) throws -> Outcome {
        var plan = plan
        (plan.threads, plan.expertParallel, plan.shardOptimizer) = (way.threads, way.expertParallel, way.isSharded)
        plan.training.recompute = way.recomputes
        let folder = TemporaryFolder(), path = folder.path, final = plan
        var metrics: [UpdateMetrics] = [], pools: [[ExpertPool]] = [], changes: [[PoolChange]] = []
        for (part, ranks) in way.ranks.enumerated() {
            let last = part + 1 < way.ranks.count ? way.ranks[part + 1].from : plan.training.updates
            let results = try SimulatedCluster.run(ranks: ranks.count) { world in
                let run = try TinyRun(world, final, in: path)
                try require(run.trainer.update == ranks.from, "it goes on where it was stopped")
                try plantUseless([1, 2, 6, 7], run)
                var metrics: [UpdateMetrics] = [], pools: [[ExpertPool]] = [], changes: [[PoolChange]] = []
                while run.trainer.update < last {
                    metrics.append(try run.trainer.step().metrics.timeless)
                    pools.append(run.trainer.pools ?? [])
                    changes.append(run.trainer.poolChanges)
                }
                try run.save()
                return (run.state, metrics, pools, changes, try run.validate())
            }
            for result in results.dropFirst() {
                try require(result.2 == results[0].2 && result.3 == results[0].3, "ranks have the same experts")
            }
            metrics += results[0].1
            pools += results[0].2
            changes += results[0].3
            if part == way.ranks.count - 1 {
                return Outcome(
                    state: try ModelState(joining: results.map(\.0)), metrics: metrics, pools: pools, changes: changes,
                    validation: results[0].4)
            }
        }
        preconditionFailure("a way has a last part")
    }

    private static func require(_ holds: Bool, _ what: String) throws { if !holds { throw Disagreement(what) } }

    @Test(arguments: [PoolAdaptation.NewExpert.zeroOutput, .copy])
    func everyWayGivesTheSameBits(newExpert: PoolAdaptation.NewExpert) throws {
        let plan = Self.plan(strata: [5, 6], initial: [4, 4], newExpert: newExpert), alone = try Self.outcome(plan, Way())
        let experts = alone.pools.map { $0.map(\.experts) }
        // They do change, here and there, and only at windows' ends.
        #expect(experts[0] == [[0, 1, 2, 3, 5, 6, 7, 8], [0, 1, 2, 3, 5, 6, 7, 8]])
        #expect(alone.changes[1].contains { $0.removed.count > 2 } && alone.changes.joined().contains { !$0.added.isEmpty })
        #expect(alone.changes.count { !$0.isEmpty } > 1, "they change more than once")
        for update in 1..<experts.count where experts[update] != experts[update - 1] {
            #expect([2, 5, 8, 11].contains(update + 1))
        }
        #expect(Set(experts.joined()).count > 2, "\(experts)")
        #expect(alone.metrics.allSatisfy { !$0.skipped })
        for (metrics, pools) in zip(alone.metrics, alone.pools) {
            #expect(metrics.figure("experts_existing") == Double(pools.reduce(0) { $0 + $1.experts.count }))
            #expect((pools[0].records == nil) == [2, 3, 5, 6, 8, 9, 11, 12].contains(metrics.update))
        }
        for way in Self.ways {
            let outcome = try Self.outcome(plan, way)
            #expect(outcome.state.differences(from: alone.state) == [], "\(way.testDescription)")
            #expect(outcome.metrics == alone.metrics, "\(way.testDescription)")
            #expect(outcome.pools == alone.pools && outcome.changes == alone.changes, "\(way.testDescription)")
            #expect(outcome.validation == alone.validation, "\(way.testDescription)")
        }
    }

    /// A planted expert that no token takes goes, with its parameters; where tokens are left without any, one comes that takes them.
    @Test(arguments: [1, 2]) func theUselessGoesAndTheStarvingAreServed(ranks: Int) throws {
        let plan = Self.plan(updates: 3)
        let states = try SimulatedCluster.run(ranks: ranks) { world in
            let run = try TinyRun(world, plan)
            // No token at the first gates finds an expert, but for a few; one expert of the second stratum is nobody's.
            try run.model.store.forEachSlice { name, _, values, _ in
                if name.hasSuffix("gates.0.threshold") { values.update(repeating: 3.6) }
            }
            try Self.plantUseless([6], run)
            let starved = try run.trainer.step().metrics.figure("unrouted_fraction")!
            _ = try run.trainer.step()
            let pools = run.trainer.pools!, changes = run.trainer.poolChanges
            let served = try run.trainer.step().metrics
            let names = Set(run.model.store.parameters.flatMap { $0.slices.map(\.name) })
            return (pools.map(\.experts), changes, starved, served.figure("unrouted_fraction")!, served.load, names)
        }
        let (experts, changes, starved, served, load, _) = states[0]
        let names = states.reduce(into: Set()) { $0.formUnion($1.5) }
        #expect(starved > 0.4 && served < 0.75 * starved, "\(starved), \(served)")
        for (block, name) in ["encoder.layers.1.moe", "decoder.layers.1.moe"].enumerated() {
            #expect(changes[block].removed.contains(6), "\(changes[block])")
            let added = changes[block].openings.filter { $0.stratum == 0 }.map(\.expert)
            #expect(added.count == 1 && experts[block].contains(added[0]))
            let length = changes[block].openings[0].weight.reduce(0) { $0 + $1 * $1 }
            #expect(abs(length - 1) < 1e-5)
            #expect(load[0][added[0]] > 0, "tokens take it: \(load[0])")
            for expert in 0..<9 {
                #expect(names.contains("\(name).experts.\(expert).fc1.weight") == experts[block].contains(expert))
            }
        }
    }

    /// Added experts have outputs of 0 and no moments; those that stay keep theirs.
    @Test(arguments: [PoolAdaptation.NewExpert.zeroOutput, .copy])
    func whatANewExpertBeginsAs(newExpert: PoolAdaptation.NewExpert) throws {
        let plan = Self.plan(newExpert: newExpert, updates: 2)
        let (state, change) = try SimulatedCluster.run(ranks: 1) { world in
            let run = try TinyRun(world, plan)
            try run.model.store.forEachSlice { name, _, values, _ in
                if name.hasSuffix("gates.0.threshold") { values.update(repeating: 3.6) }
            }
            while run.trainer.update < 2 { _ = try run.trainer.step() }
            return (run.state, run.trainer.poolChanges[0])
        }[0]
        let addition = try #require(change.added.first), name = "encoder.layers.1.moe.experts."
        func tensor(_ prefix: String, _ expert: Int, _ rest: String) throws -> [UInt32?] {
            try #require(state.tensors["\(prefix)\(name)\(expert).\(rest)"])
        }
        for rest in ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"] {
            let own = try tensor("", addition.expert, rest)
            switch newExpert {
            case .zeroOutput: #expect(rest.hasPrefix("fc1.w") == own.contains { $0 != 0 }, "\(rest)")
            case .copy: #expect(try own == tensor("", try #require(addition.model), rest))
            }
            #expect(try tensor("average.", addition.expert, rest) == own)
            #expect(try tensor("adam.m.", addition.expert, rest).allSatisfy { $0 == 0 })
            #expect(try tensor("adam.v.", addition.expert, rest).allSatisfy { $0 == 0 })
        }
        #expect(try tensor("adam.v.", 4, "fc1.weight").contains { $0 != 0 })
    }

    /// What stays is what it was: against the same updates of a run whose experts do not change yet.
    @Test(arguments: [(1, false), (2, false), (4, true)]) func whatStaysIsMovedOver(ranks: Int, isSharded: Bool) throws {
        func state(_ period: Int) throws -> (state: ModelState, changes: [PoolChange]) {
            var plan = Self.plan(strata: [5, 6], initial: [4, 4], updates: 2)
            plan.shardOptimizer = isSharded
            plan.model.mixture?[PoolAdaptation.self].settings?.period = period
            let final = plan
            let results = try SimulatedCluster.run(ranks: ranks) { world in
                let run = try TinyRun(world, final)
                try Self.plantUseless([1, 2, 6, 7], run)
                while run.trainer.update < 2 { _ = try run.trainer.step() }
                return (run.state, run.trainer.poolChanges)
            }
            return (try ModelState(joining: results.map(\.0)), results[0].1)
        }
        let (before, none) = try state(1000), (after, changes) = try state(3)
        #expect(none.isEmpty && changes.count == 2)
        var moved = 0
        for (name, bits) in before.tensors {
            let isAnew = zip(["encoder", "decoder"], changes).contains { side, change in
                name.contains("\(side).layers.1.moe.gates.")
                    || (change.removed + change.added.map(\.expert)).contains {
                        name.contains("\(side).layers.1.moe.experts.\($0).")
                    }
            }
            if isAnew { continue }
            #expect(after.tensors[name] == bits, "\(name)")
            moved += name.contains(".experts.") ? 1 : 0
        }
        // Four tensors of each, with moments and averages, of two experts of each stratum at least.
        #expect(moved >= 2 * 4 * 4 * 4, "\(moved)")
    }

    /// Two kinds of tokens, of which one has an expert: the other gets one of its own, whose row is their direction.
    @Test func aKindOfTokensGetsAnExpert() throws {
        var configuration = try #require(Self.plan(minimum: 1).model.mixture)
        configuration.strata = [4]
        configuration[PoolAdaptation.self].settings = .init(initial: [2], record: 1, period: 1, minimumTokens: 1)
        let final = configuration
        try alone { communicator in
            // Expert 1 is nobody's.
            let tiny = try TinyBlock(final, group: communicator)
            let axis: [Float] = [3, -1, 2, -2, 1, -3, 2, -2]
            let rows = (0..<10).map { token in axis.map { (token < 6 ? $0 : -$0) + Float(token % 3) * 0.01 } }
            let x = tiny.context.tensor(rows.flatMap { $0 }, rows: 10, columns: 8)
            try tiny.store.forEachSlice { name, _, values, _ in
                if name == "block.gates.0.weight" { for (index, value) in axis.enumerated() { values[index] = value } }
                if name == "block.gates.0.threshold" { (values[0], values[1]) = (0, 9) }
                if name == "block.norms.0.weight" { values.update(repeating: 1) }
                if name.hasSuffix("norms.0.bias") { values.update(repeating: 0) }
                if name == "block.gates.0.active" { for index in values.indices { values[index] = index < 2 ? 1 : 0 } }
            }
            let before = try tiny.forward(x), record = before.report.records[0]
            try Self.require(record.tokens == 10 && record.unrouted == 4 && record.chosen == [6, 0, 0, 0], "\(record)")
            let change = try #require(tiny.block.change(after: before.report.records))
            try Self.require(change.removed == [1] && change.openings.map(\.expert) == [1], "\(change)")
            _ = tiny.block.applyToGates(change)
            let after = try tiny.forward(x), record2 = after.report.records[0]
            try Self.require(record2.unrouted == 0 && record2.chosen == [6, 4, 0, 0], "\(record2)")
            // Evaluation records nothing.
            try Self.require(try tiny.forward(x, training: false).report.records.isEmpty, "training alone is recorded")
        }
    }

    /// A manifest that says nothing of experts, or that others exist than may be, is no checkpoint of the run.
    @Test func aManifestMustSayWhichExpertsExist() throws {
        let folder = TemporaryFolder(), path = folder.path
        _ = try SimulatedCluster.run(ranks: 1) { world in
            let run = try TinyRun(world, Self.plan(), in: path)
            _ = try run.trainer.step()
            var pools = try #require(run.trainer.pools)
            try Self.require(pools.allSatisfy { $0.records?.count == 2 }, "a window is under way")
            for broken in [nil, [pools[0]], pools.map { ExpertPool(block: $0.block, experts: [0, 4]) }] {
                try run.checkpoints.save(step: 1, seed: 7, pools: broken, state: run.rankState)
                do {
                    _ = try TinyRun(world, Self.plan(), in: path)
                    throw Disagreement("\(String(describing: broken)) was read")
                } catch let error as CheckpointError {
                    try Self.require(error.description.contains("which experts exist"), "\(error)")
                }
            }
            try run.save()
            let again = try TinyRun(world, Self.plan(), in: path)
            try Self.require(again.trainer.pools == pools, "what is recorded goes on")
            pools[0].endWindow(nil)
            try Self.require(again.trainer.pools != pools, "records are in the manifest")
        }
    }
}
