import Autograd
import Collectives
import MixtureMethods
import Testing
import _TestSupport
import _TinyRuns

/// Selection biases: moved by every update, the same on every rank, saved with the parameters.
@Suite struct BiasBalancingTests {
    private static func plan(updates: Int) -> TinyPlan {
        var plan = TinyPlan(strata: [4, 4], topK: 2, updates: updates)
        plan.model.mixture?[BiasBalancing.self].rate = 0.125
        plan.model.mixture?[TokenChoice.self].secondExpert = .best
        plan.model.mixture?[LoadBalancing.self].weight = 0
        return plan
    }

    private static func biases(_ state: ModelState) -> [String: [Float]] {
        state.tensors.filter { $0.key.hasSuffix("selection_bias") && !$0.key.hasPrefix("adam.") }
            .mapValues { $0.map { Float(bitPattern: $0!) } }
    }

    /// What the first gate chooses in the first update depends on no capacity.
    @Test(arguments: [1, 2]) func capacityDoesNotHideWhatIsChosen(ranks: Int) throws {
        func biases(capacity: Float?) throws -> [Float] {
            var plan = Self.plan(updates: 1)
            plan.model.mixture?.capacityFactor = capacity
            let final = plan
            let states = try SimulatedCluster.run(ranks: ranks) { world in
                let run = try TinyRun(world, final)
                _ = try run.trainer.step()
                return run.state
            }
            return try #require(Self.biases(try ModelState(joining: states))["encoder.layers.1.moe.gates.0.selection_bias"])
        }
        let tight = try biases(capacity: 0.5)
        #expect(try biases(capacity: nil) == tight)
        #expect(tight.contains(0.125) && tight.contains(-0.125))
    }

    @Test func biasesCountTheUpdates() throws {
        let folder = TemporaryFolder()
        func states(_ ranks: Int, updates: Int, in folder: String) throws -> ModelState {
            try ModelState(
                joining: SimulatedCluster.run(ranks: ranks) { world in
                    let run = try TinyRun(world, Self.plan(updates: updates), in: folder)
                    _ = try run.run()
                    return run.state
                })
        }
        let one = Self.biases(try states(1, updates: 1, in: TemporaryFolder().path))
        #expect(one.count == 4, "two blocks of two gates")
        #expect(one.values.allSatisfy { $0.allSatisfy { abs($0) == 0.125 || $0 == 0 } })
        #expect(one.values.allSatisfy { $0.contains(0.125) && $0.contains(-0.125) })
        // Whichever ranks compute, and whether the run was stopped on the way.
        let six = try states(1, updates: 6, in: TemporaryFolder().path)
        #expect(Self.biases(try states(3, updates: 6, in: TemporaryFolder().path)) == Self.biases(six))
        #expect(try states(1, updates: 3, in: folder.path) != six)
        #expect(try states(1, updates: 6, in: folder.path) == six)
    }
}
