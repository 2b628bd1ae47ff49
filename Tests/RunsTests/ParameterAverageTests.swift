import Autograd
import Checkpoints
import Collectives
import Foundation
import Testing
import _TestSupport
import Training
import _TinyRuns

/// The moving average of parameters: its recursion, on any number of ranks, through checkpoints, and in validation.
@Suite(.hangLimit) struct ParameterAverageTests {
    private static func plan(updates: Int = 8, sharded: Bool = false) -> TinyPlan {
        var plan = TinyPlan.stratified(updates: updates)
        plan.training.averageDecay = 0.5
        plan.cadence.every = 3
        plan.shardOptimizer = sharded
        return plan
    }

    @Test func followsItsRecursion() throws {
        _ = try SimulatedCluster.run(ranks: 1) { world in
            let run = try TinyRun(world, Self.plan()), values = run.model.store.section(.replicated).values
            let average = try #require(run.trainer.average)
            var twin = values.elements.map { Double($0) }
            try #require(average.values(.replicated).elements == values.elements)
            for update in 1...6 {
                _ = try run.trainer.step()
                let decay = min(0.5, Double(1 + update) / Double(10 + update))
                for (index, value) in values.elements.enumerated() {
                    twin[index] = decay * twin[index] + (1 - decay) * Double(value)
                }
                let kept = average.values(.replicated).elements
                try #require(zip(twin, kept).allSatisfy { abs($0 - Double($1)) < 1e-5 })
            }
        }
    }

    /// The parameters of a trained model take the place of those that were drawn.
    @Test func beginsAnewAtLoadedParameters() throws {
        _ = try SimulatedCluster.run(ranks: 1) { world in
            let run = try TinyRun(world, Self.plan()), values = run.model.store.section(.replicated).values
            let average = try #require(run.trainer.average)
            values.fill(0.25)
            try #require(average.values(.replicated).elements != values.elements)
            average.restart()
            try #require(average.values(.replicated).elements == values.elements)
        }
    }

    private static func run(
        _ plan: TinyPlan, in folder: TemporaryFolder, ranks: Int, interruption: Int? = nil
    ) throws -> ModelState {
        let states = try SimulatedCluster.run(ranks: ranks) { world in
            let run = try TinyRun(world, plan, in: folder.path)
            _ = try run.run(interruption: interruption)
            return run.state
        }
        return try ModelState(joining: states)
    }

    /// Stopped and resumed, whole or in shares, it is what it would have been.
    @Test(arguments: [1, 2], [false, true]) func aResumedRunHasTheSameAverage(ranks: Int, sharded: Bool) throws {
        let undisturbed = TemporaryFolder(), stopped = TemporaryFolder(), plan = Self.plan(sharded: sharded)
        let expected = try Self.run(plan, in: undisturbed, ranks: ranks)
        #expect(expected.tensors.keys.contains { $0.hasPrefix("average.") })
        _ = try Self.run(plan, in: stopped, ranks: ranks, interruption: 4)
        #expect(try Self.run(plan, in: stopped, ranks: ranks).differences(from: expected) == [])
    }

    /// On another number of ranks, and in other shares, nothing is lost; turned on later it begins at the parameters.
    @Test func anAverageIsReshardedOrBegun() throws {
        let folder = TemporaryFolder()
        let saved = try Self.run(Self.plan(updates: 3, sharded: true), in: folder, ranks: 4)
        let read = try Self.run(Self.plan(updates: 3), in: folder, ranks: 1)
        #expect(read.differences(from: saved) == [])
        let bare = TemporaryFolder()
        var plan = Self.plan(updates: 3)
        plan.training.averageDecay = 0
        let without = try Self.run(plan, in: bare, ranks: 1)
        #expect(!without.tensors.keys.contains { $0.hasPrefix("average.") })
        let begun = try Self.run(Self.plan(updates: 3), in: bare, ranks: 2)
        for (name, bits) in begun.tensors where name.hasPrefix("average.") {
            #expect(begun.tensors[String(name.dropFirst("average.".count))] == bits, "\(name)")
        }
    }

    @Test(arguments: [1, 2], [false, true]) func validationMayBeOfTheAverage(ranks: Int, sharded: Bool) throws {
        _ = try SimulatedCluster.run(ranks: ranks) { world in
            var plan = Self.plan(sharded: sharded)
            plan.training.validatesAverage = true
            let averaged = try TinyRun(world, plan)
            plan.training.validatesAverage = false
            let plain = try TinyRun(world, plan)
            for run in [averaged, plain] { for _ in 0..<5 { _ = try run.trainer.step() } }
            let before = averaged.state
            let losses = (try averaged.validate().validLoss, try plain.validate().validLoss)
            try #require(abs(losses.0 - losses.1) > 1e-6)
            try #require(averaged.state.differences(from: before) == [], "parameters are back in their place")
            try #require(plain.state.differences(from: before) == [])
        }
    }
}
