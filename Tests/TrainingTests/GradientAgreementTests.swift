import Autograd
import Collectives
import MixtureMethods
import TensorCore
import Testing
import _TestSupport
import Training
import _TinyRuns

/// The gradients of an update do not depend on the number of ranks, nor on what these hold and share, with buckets on their
/// way while backward goes on.
@Suite(.hangLimit) struct GradientAgreementTests {
    struct Layout: Sendable, CustomTestStringConvertible {
        let ranks: Int
        let expertParallel: Int
        var testDescription: String { "\(ranks) ranks, \(expertParallel) expert-parallel" }
    }

    private static let layouts = [2, 3, 4, 8].flatMap { ranks in
        [1, 2, 4].filter { ranks % $0 == 0 }.map { Layout(ranks: ranks, expertParallel: $0) }
    }

    /// Four groups: more than one on two and three ranks, none for some of eight.
    private static func plan(topK: Int, capacity: Float?, isConditional: Bool = false) -> TinyPlan {
        var plan = TinyPlan(strata: [4, 4], topK: topK)
        plan.model.mixture?.capacityFactor = capacity
        if isConditional { plan.model.mixture?[ConditionalRouting.self].settings = .init() }
        plan.bucketBytes = 2048
        return plan
    }

    private static let plans = [
        "top-1": plan(topK: 1, capacity: 1), "top-1 dropless": plan(topK: 1, capacity: nil),
        "top-2": plan(topK: 2, capacity: 2), "top-2 dropless": plan(topK: 2, capacity: nil),
        // Two operations use one LayerNorm.
        "conditional": plan(topK: 2, capacity: 2, isConditional: true),
    ]

    /// Lets every first gate send all tokens to the last stratum: LayerNorm's rows, which sum to 0, are moved by 1, so that
    /// weights that are moved by c change the scores by c · d.
    private static func closeSecondStratum(_ store: ParameterStore) {
        let values = store.section(.replicated).values.buffer
        for location in store.locations(.replicated) {
            if location.slice.name.hasSuffix("moe.norms.0.bias") {
                for element in location.range { values[element] = 1 }
            } else if location.slice.name.hasSuffix("moe.gates.0.weight") {
                let dim = location.slice.shape[1]
                for (index, element) in location.range.enumerated() { values[element] += index / dim < 4 ? -1 : 1 }
            }
        }
    }

    private struct Outcome {
        /// By parameter; of an expert's, those of its first copy.
        let gradients: [String: [Float]]
        let norms: [Double]
        /// Tokens that the second stratum saw.
        let secondStratum: Int
    }

    /// After one update first moments are (1 − β1) × the gradient.
    private static func gradients(_ plan: TinyPlan, ranks: Int, closed: Bool) throws -> Outcome {
        let outcomes = try SimulatedCluster.run(ranks: ranks) { world in
            let run = try TinyRun(world, plan)
            if closed { closeSecondStratum(run.model.store) }
            let metrics = try run.trainer.step().metrics
            return (run.state, metrics.gradientNorm, metrics.load[1].reduce(0, +))
        }
        var gradients: [String: [Float]] = [:]
        for (name, bits) in try ModelState(joining: outcomes.map(\.0)).tensors where name.hasPrefix("adam.m.") {
            gradients[name] = bits.map { Float(bitPattern: $0!) / (1 - plan.training.adamBeta1) }
        }
        return Outcome(gradients: gradients, norms: outcomes.map(\.1), secondStratum: outcomes[0].2)
    }

    @Test(arguments: plans.keys.sorted(), [false, true]) func gradientsAreThoseOfOneRank(name: String, closed: Bool) throws {
        var plan = Self.plans[name]!
        let alone = try Self.gradients(plan, ranks: 1, closed: closed)
        #expect(closed == (alone.secondStratum == 0))
        let isIdle = { (name: String) in name.contains("norms.1.") || name.contains("gates.1.") }
        for (name, gradient) in alone.gradients where isIdle(name) {
            #expect(gradient.contains { $0 != 0 } == !closed, "\(name)")
        }
        for layout in Self.layouts {
            plan.expertParallel = layout.expertParallel
            plan.shardOptimizer.toggle()
            let shared = try Self.gradients(plan, ranks: layout.ranks, closed: closed)
            let what = "\(layout.testDescription)\(plan.shardOptimizer ? ", sharded" : "")"
            #expect(shared.gradients.keys.sorted() == alone.gradients.keys.sorted())
            for norm in shared.norms {
                #expect(norm == shared.norms[0] && abs(norm - alone.norms[0]) <= 1e-6 * norm, "\(what)")
            }
            for (name, one) in alone.gradients {
                let largest = one.reduce(0) { max($0, abs($1)) }
                // Where a gradient is 0 but for rounding (the bias of keys shifts all scores alike) there is nothing to compare.
                let tolerance = max(1e-5 * largest, 1e-8 * Float(alone.norms[0]))
                let difference = zip(one, shared.gradients[name]!).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
                #expect(difference <= tolerance, "\(what), \(name): \(difference) of \(largest)")
            }
        }
    }

    /// Sums are in rank order and the norm is added up over shares in either case.
    @Test(arguments: layouts) func shardingTheOptimizerChangesNoBit(layout: Layout) throws {
        var plan = Self.plans["top-2"]!
        plan.expertParallel = layout.expertParallel
        plan.training.clipNorm = 0.5
        /// The last two: elements that ranks have moments for, dense ones and experts', summed over ranks.
        func run(sharded: Bool) throws -> (ModelState, [UpdateMetrics], dense: Int, expert: Int) {
            plan.shardOptimizer = sharded
            let plan = plan
            let outcomes = try SimulatedCluster.run(ranks: layout.ranks) { world in
                let run = try TinyRun(world, plan)
                let metrics = try (0..<5).map { _ in try run.trainer.step().metrics.timeless }
                return (
                    run.state, metrics, run.optimizer.moments(.replicated).first.count,
                    run.optimizer.moments(.expert).second.count
                )
            }
            return (
                try ModelState(joining: outcomes.map(\.0)), outcomes[0].1, outcomes.reduce(0) { $0 + $1.2 },
                outcomes.reduce(0) { $0 + $1.3 }
            )
        }
        let whole = try run(sharded: false), sharded = try run(sharded: true)
        #expect(sharded.0.differences(from: whole.0) == [])
        #expect(sharded.1 == whole.1)
        #expect(whole.1.allSatisfy { $0.gradientNorm > 0.5 }, "it must clip")
        #expect(sharded.dense * layout.ranks == whole.dense, "each element has its moments once")
        #expect(sharded.expert * (layout.ranks / layout.expertParallel) == whole.expert)
    }
}
