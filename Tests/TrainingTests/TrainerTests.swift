import Autograd
import Collectives
import DataPipeline
import Foundation
import MixtureMethods
import Testing
import _TestSupport
import Training
import _TinyRuns

/// What an update computes, on one and on several simulated ranks.
@Suite(.hangLimit) struct TrainerTests {
    private static let plans: [String: TinyPlan] = [
        "strata 4-4": .stratified(updates: 50), "switch 8": .switchTransformer(updates: 50),
        "dense": TinyPlan(strata: [], updates: 50),
    ]

    /// Every update's metrics, by rank.
    private static func metrics(_ plan: TinyPlan, ranks: Int) throws -> [[UpdateMetrics]] {
        try SimulatedCluster.run(ranks: ranks) { world in
            let run = try TinyRun(world, plan)
            return try (0..<plan.training.updates).map { _ in try run.trainer.step().metrics.timeless }
        }
    }

    private static func state(_ plan: TinyPlan, ranks: Int) throws -> ModelState {
        try ModelState(
            joining: SimulatedCluster.run(ranks: ranks) { world in
                let run = try TinyRun(world, plan)
                for _ in 0..<plan.training.updates { _ = try run.trainer.step() }
                return run.state
            })
    }

    /// Invariant 1, dropout and sampled second experts included: every figure of every update, to the bit.
    @Test(arguments: plans.keys.sorted()) func metricsDoNotDependOnTheNumberOfRanks(name: String) throws {
        let plan = Self.plans[name]!
        let alone = try Self.metrics(plan, ranks: 1)[0]
        #expect(alone.last!.loss < alone[0].loss - 0.5, "it must learn for the comparison to mean anything")
        #expect(alone[0].figures.map(\.name) == (name == "dense" ? [] : ["aux"]))
        for ranks in [2, 3, 4, 8] {
            for rank in try Self.metrics(plan, ranks: ranks) { #expect(rank == alone, "\(ranks) ranks") }
        }
    }

    @Test func theReportedFiguresAreSound() throws {
        let metrics = try Self.metrics(.stratified(updates: 3), ranks: 2)[0]
        for update in metrics {
            #expect(update.nll > 0 && update.loss > 0 && update.gradientNorm > 0)
            let aux = try #require(update.figure("aux"))
            #expect(aux >= 0.99, "the load-balancing loss is 1 where the load is even, and more where it is not")
            #expect((1...2).contains(update.requestedCapacity))
            #expect(update.droppedFraction > 0 && update.droppedFraction < 0.5, "capacity 2 is tight for tiny groups")
            #expect(update.load.count == 2 && update.load.allSatisfy { $0.count == 8 })
            #expect(update.load[1][..<4].allSatisfy { $0 == 0 }, "the second gate does not see the first stratum")
            #expect(update.targetTokens > 300 && update.targetTokens <= 600)
        }
        #expect(metrics.map(\.update) == [1, 2, 3])
    }

    /// The mean gate, its distance from the budget, and the z-loss, whichever ranks compute; nothing of the kind in a plain model.
    @Test func auxiliaryLossesAreReportedWhereConfigured() throws {
        let plain = try Self.metrics(.stratified(updates: 1), ranks: 2)[0][0]
        #expect(plain.figures.map(\.name) == ["aux"])
        var plan = TinyPlan.stratified(updates: 2)
        plan.model.mixture?[RouterZLoss.self].weight = 0.001
        plan.model.mixture?[ConditionalRouting.self].settings = .init()
        // Above every mean gate, so that the distances of blocks and groups add up to that of their mean.
        plan.model.mixture?[ConditionalRouting.self].settings?.budget = 1
        let alone = try Self.metrics(plan, ranks: 1)[0]
        for update in try Self.metrics(plan, ranks: 3)[1] {
            let one = alone[update.update - 1]
            #expect(update.figures.map(\.name) == ["aux", "z_loss", "budget", "conditional_gate_mean"])
            let budget = try #require(update.figure("budget")), gate = try #require(update.figure("conditional_gate_mean"))
            #expect(abs(budget + gate - 1) < 1e-5 && gate > 0.2 && gate < 0.8, "gates start around a half")
            let zLoss = try #require(update.figure("z_loss"))
            // Eight and four experts, and scores that are small at first: log 8 and log 4, squared.
            #expect(zLoss > 1.5 && zLoss < 6)
            for figure in update.figures {
                #expect(abs(figure.value - (try #require(one.figure(figure.name)))) < 1e-4 * figure.value, "\(figure)")
            }
        }
    }

    /// Invariant 2; with it, all copies of a parameter are equal bit for bit.
    @Test(arguments: [1, 2, 3, 4]) func theSameRunTwiceIsTheSameBitForBit(ranks: Int) throws {
        let plan = TinyPlan.stratified(updates: 8)
        let first = try Self.state(plan, ranks: ranks)
        #expect(try Self.state(plan, ranks: ranks).differences(from: first) == [])
        var other = plan
        other.training.seed = 8
        #expect(try !Self.state(other, ranks: ranks).differences(from: first).isEmpty)
    }

    /// Invariant 6: ranks without a group take part in every collective.
    @Test func ranksWithoutGroupsStepAlong() throws {
        var plan = TinyPlan.stratified(updates: 4)
        plan.training.tokenGroups = 1
        let alone = try Self.metrics(plan, ranks: 1)[0]
        for ranks in [3, 4] {
            for (one, many) in zip(alone, try Self.metrics(plan, ranks: ranks)[0]) {
                #expect(abs(one.loss - many.loss) <= 1e-4 * one.loss)
            }
        }
    }

    @Test func validationDoesNotDependOnTheNumberOfRanksAndChangesNothing() throws {
        func validate(_ ranks: Int) throws -> [ValidationMetrics] {
            try SimulatedCluster.run(ranks: ranks) { world in
                let run = try TinyRun(world, .stratified())
                for _ in 0..<3 { _ = try run.trainer.step() }
                let before = run.state, first = try run.validate()
                try #require(try run.validate() == first)
                try #require(run.state == before)
                return first
            }
        }
        let alone = try validate(1)[0]
        let corpus = TinyCorpus.shared
        let tokens = corpus.directions.reduce(0) { sum, direction in
            (0..<corpus.pairs(direction, .valid)).reduce(sum) { $0 + corpus.sentence(direction, .valid, $1).target.count + 1 }
        }
        #expect(alone.validTokens == tokens && alone.update == 3)
        #expect(abs(alone.validPerplexity - exp(alone.validNll)) < 1e-9 * alone.validPerplexity)
        // More ranks than there are held-out groups: some have none at all.
        for ranks in [2, 3, 16] {
            for metrics in try validate(ranks) {
                #expect(abs(metrics.validLoss - alone.validLoss) < 1e-5 * alone.validLoss, "\(ranks) ranks")
                #expect(metrics.validTokens == tokens)
            }
        }
    }

    /// After one update the first moments are (1 − β1) × the clipped gradient.
    @Test(arguments: [1, 2, 4]) func gradientsAreClippedToTheNorm(ranks: Int) throws {
        func norms(clip: Float) throws -> (reported: Double, applied: Double) {
            var clipping = TinyPlan.stratified()
            clipping.training.clipNorm = clip
            let plan = clipping
            let outcomes = try SimulatedCluster.run(ranks: ranks) { world in
                let run = try TinyRun(world, plan)
                let norm = try run.trainer.step().metrics.gradientNorm
                func squares(_ placement: ParameterPlacement) -> Double {
                    run.optimizer.moments(placement).first.buffer.reduce(0) { $0 + Double($1) * Double($1) }
                }
                return (norm, squares(.replicated), squares(.expert))
            }
            let squares = outcomes[0].1 + outcomes.reduce(0) { $0 + $1.2 }
            return (outcomes[0].0, squares.squareRoot() / 0.1)
        }
        let free = try norms(clip: 0)
        #expect(free.reported > 0.05)
        #expect(abs(free.applied - free.reported) < 1e-4 * free.reported)
        let clipped = try norms(clip: 0.01)
        #expect(clipped.reported == free.reported, "the norm is reported as it was before clipping")
        #expect(abs(clipped.applied - 0.01) < 1e-6)
        let loose = try norms(clip: Float(free.reported) * 2)
        #expect(abs(loose.applied - free.reported) < 1e-4 * free.reported, "a small gradient is not scaled up")
    }

    private struct Fault: Error, Equatable {}
    private struct WentOnAlone: Error {}

    /// Invariant 6: the others are told, wherever they are in an update.
    @Test(arguments: [2, 3, 4]) func aRankThatThrowsEndsAll(ranks: Int) throws {
        #expect(throws: Fault()) {
            _ = try SimulatedCluster.run(ranks: ranks) { world in
                let run = try TinyRun(world, .stratified())
                for update in 1...6 {
                    if update == 4, world.rank == ranks - 1 { throw Fault() }
                    if update == 5 { throw WentOnAlone() }
                    _ = try run.trainer.step()
                }
            }
        }
    }
}
