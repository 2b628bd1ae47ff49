import Collectives
import MixtureMethods
import TensorCore
import Testing
import _TestSupport
import Training
import _TinyRuns

/// Invariant 1: parameters, moments and every figure are the same, to the bit, on any number of ranks and threads, however experts
/// and the optimizer's work are shared out, with activations recomputed, and after a resumption on other ranks.
@Suite(.hangLimit) struct InvarianceTests {
    /// How a run is computed.
    struct Way: Sendable, CustomTestStringConvertible {
        var ranks = 1
        var expertParallel: Int?
        var threads = 1
        var isSharded = false
        var recomputes = false
        /// Whether ranks run two groups in turns, where they have so many.
        var interleave = AutomaticChoice.auto
        /// The ranks that go on half-way.
        var resumedOn: Int?
        /// Whether every rank has a copy of the first and the last expert of each block.
        var replicates = false
        /// Ranks of a host, within which rows are passed on; nil: they are not.
        var ranksPerHost: Int?

        var testDescription: String {
            "\(ranks) ranks, expert-parallel \(expertParallel.map(String.init) ?? "auto"), \(threads) threads"
                + (isSharded ? ", sharded" : "") + (recomputes ? ", recomputing" : "")
                + (resumedOn.map { ", resumed on \($0)" } ?? "") + (replicates ? ", with replicas" : "")
                + ", interleave \(interleave)" + (ranksPerHost.map { ", hosts of \($0)" } ?? "")
        }
    }

    static let ways = [
        Way(threads: 2), Way(recomputes: true), Way(ranks: 2), Way(ranks: 2, expertParallel: 1, threads: 2),
        Way(ranks: 3, isSharded: true), Way(ranks: 4, recomputes: true), Way(ranks: 4, expertParallel: 2, isSharded: true),
        Way(ranks: 4, expertParallel: 1), Way(ranks: 8), Way(ranks: 8, expertParallel: 2, threads: 2, isSharded: true),
        Way(ranks: 2, resumedOn: 3), Way(ranks: 4, isSharded: true, resumedOn: 1),
        Way(ranks: 4, expertParallel: 4, isSharded: true, recomputes: true),
        Way(ranks: 8, expertParallel: 4, threads: 2, isSharded: true, resumedOn: 4), Way(ranks: 8, expertParallel: 4),
        Way(ranks: 4, expertParallel: 4, interleave: .off),
        Way(ranks: 2, replicates: true), Way(ranks: 8, expertParallel: 4, isSharded: true, resumedOn: 4, replicates: true),
        Way(ranks: 4, threads: 2, recomputes: true, resumedOn: 4, replicates: true),
        Way(ranks: 3, interleave: .on, replicates: true), Way(ranks: 2, interleave: .off),
        Way(ranks: 3, threads: 2, isSharded: true, recomputes: true, interleave: .on),
        Way(ranks: 4, expertParallel: 4, ranksPerHost: 2), Way(ranks: 3, isSharded: true, interleave: .off, ranksPerHost: 2),
        Way(ranks: 4, expertParallel: 4, resumedOn: 4, replicates: true, ranksPerHost: 2),
    ]

    private static let updates = 12

    static let plans: [String: TinyPlan] = {
        var plans = [
            "dense": TinyPlan(strata: []), "strata": .stratified(), "top-1": .switchTransformer(),
        ]
        plans["conditional"] = .stratified()
        plans["conditional"]!.model.mixture?[ConditionalRouting.self].settings = .init()
        plans["other strata in the decoder"] = .stratified()
        plans["other strata in the decoder"]!.model.mixture?.decoderStrata = [2, 3]
        // Experts of small strata have copies in an expert-parallel group of four.
        plans["small strata"] = TinyPlan(strata: [2, 4])
        plans["small strata of chains"] = TinyPlan(strata: [1, 4])
        plans["small strata of chains"]!.model.mixture?[FactorisedExperts.self].settings = .init()
        plans["expert choice"] = .stratified()
        plans["expert choice"]!.model.mixture?.routing = ExpertChoice.routing
        plans["rounded rows"] = .stratified()
        plans["rounded rows"]!.wire = .bfloat16
        if (try? GEMM.checkTraining(in: .bfloat16)) != nil {
            plans["bfloat16"] = .stratified()
            plans["bfloat16"]!.model.compute = .bfloat16
        }
        for name in plans.keys {
            plans[name]!.training.updates = updates
            // No power of two, and a norm that is clipped.
            plans[name]!.training.tokenGroups = 6
            (plans[name]!.training.tokensPerGroup, plans[name]!.training.clipNorm) = (100, 0.5)
        }
        return plans
    }()

    private struct Outcome: Equatable, Sendable {
        let state: ModelState
        let metrics: [UpdateMetrics]
        let validation: ValidationMetrics
    }

    private static func outcome(_ plan: TinyPlan, _ way: Way) throws -> Outcome {
        var plan = plan
        (plan.threads, plan.expertParallel, plan.shardOptimizer) = (way.threads, way.expertParallel, way.isSharded)
        (plan.training.recompute, plan.interleave) = (way.recomputes, way.interleave)
        plan.ranksPerHost = way.ranksPerHost
        if way.replicates, let mixture = plan.model.mixture {
            plan.replicas = .auto
            for name in plan.model.blockNames {
                plan.replicated[name] = [0, (name.hasPrefix("decoder") ? mixture.ofDecoder : mixture.ofEncoder).experts - 1]
            }
        }
        // Several buckets, whose ends lie in the middle of tensors.
        plan.bucketBytes = 4096
        let folder = TemporaryFolder(), final = plan
        func part(ranks: Int, upTo last: Int, saves: Bool) throws -> [(ModelState, [UpdateMetrics], ValidationMetrics)] {
            let path = folder.path
            return try SimulatedCluster.run(ranks: ranks) { world in
                let run = try TinyRun(world, final, in: path)
                // Of hosts of two ranks a group of more than two has several.
                let spansHosts = final.ranksPerHost == 2 && run.groups.layout.expertParallel > 2
                try #require(run.passesOnWithinHosts == spansHosts)
                var metrics: [UpdateMetrics] = []
                while run.trainer.update < last { metrics.append(try run.trainer.step().metrics.timeless) }
                if saves { try run.save() }
                return (run.state, metrics, try run.validate())
            }
        }
        let half = updates / 2
        let first = way.resumedOn == nil ? [] : try part(ranks: way.ranks, upTo: half, saves: true)[0].1
        let all = try part(ranks: way.resumedOn ?? way.ranks, upTo: updates, saves: false)
        return Outcome(
            state: try ModelState(joining: all.map(\.0)), metrics: first + all[0].1, validation: all[0].2)
    }

    @Test(arguments: plans.keys.sorted()) func everyWayGivesTheSameBits(name: String) throws {
        let plan = Self.plans[name]!, alone = try Self.outcome(plan, Way())
        #expect(alone.metrics.count == Self.updates && alone.metrics.allSatisfy { $0.gradientNorm > 0.5 })
        // A dense model has no experts to spread.
        for way in Self.ways where plan.model.mixture != nil || way.expertParallel == nil {
            let outcome = try Self.outcome(plan, way)
            #expect(outcome.state.differences(from: alone.state) == [], "\(name): \(way.testDescription)")
            #expect(outcome.metrics == alone.metrics, "\(name): \(way.testDescription)")
            #expect(outcome.validation == alone.validation, "\(name): \(way.testDescription)")
        }
    }
}
