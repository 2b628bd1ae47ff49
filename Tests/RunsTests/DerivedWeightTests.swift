import Autograd
import Collectives
import MixtureMethods
import MixtureOfExperts
import Runs
import Testing
import Training
import _TestSupport
import _TinyRuns

/// Training of models whose experts' matrices are computed of tensors that they share.
@Suite(.hangLimit) struct DerivedWeightTests {
    private static func plan(_ strata: [Int] = [4, 4], mask: Float = 0, updates: Int = 6, isSharded: Bool = false) -> TinyPlan {
        var plan = TinyPlan(strata: strata, updates: updates)
        plan.shardOptimizer = isSharded
        plan.model.mixture?[FactorisedExperts.self].settings = .init()
        plan.model.mixture?[FactorisedExperts.self].settings?.centralMask = mask
        (plan.training.clipNorm, plan.training.weightDecay, plan.training.tokenGroups) = (0.5, 0.1, 3)
        (plan.training.averageDecay, plan.training.validatesAverage, plan.cadence.every) = (0.5, true, 3)
        return plan
    }

    private static func run(
        _ plan: TinyPlan, in folder: TemporaryFolder = TemporaryFolder(), ranks: Int, interruption: Int? = nil
    ) throws -> (state: ModelState, norms: [Double]) {
        let results = try SimulatedCluster.run(ranks: ranks) { world in
            let run = try TinyRun(world, plan, in: folder.path)
            var norms: [Double] = []
            _ = try run.run(interruption: interruption) { event in
                if case let .update(metrics) = event { norms.append(metrics.gradientNorm) }
                if case let .validation(metrics) = event { norms.append(metrics.validLoss) }
            }
            return (run.state, norms)
        }
        return (try ModelState(joining: results.map(\.0)), results[0].1)
    }

    /// On any number of ranks, and of those that share the experts, the same bits.
    @Test func ranksChangeNoBit() throws {
        let alone = try Self.run(Self.plan(), ranks: 1)
        #expect(alone.state.tensors.keys.contains("adam.m.encoder.layers.1.moe.central.fc1"))
        #expect(!alone.state.tensors.keys.contains("encoder.layers.1.moe.experts.0.fc1.weight"))
        for (ranks, expertParallel) in [(2, nil), (3, nil), (4, 2), (4, 4), (4, 1)] as [(Int, Int?)] {
            for isSharded in [false, true] {
                var plan = Self.plan(isSharded: isSharded)
                plan.expertParallel = expertParallel
                // Several buckets, one of which has gradients of parameters and of matrices that are computed of them.
                plan.bucketBytes = 4096
                let several = try Self.run(plan, ranks: ranks)
                #expect(
                    several.norms == alone.norms && several.state.differences(from: alone.state) == [],
                    "\(ranks) ranks, sharded: \(isSharded)")
            }
        }
    }

    @Test(arguments: [(1, 3), (3, 1)]) func aRunGoesOn(ranks: (Int, Int)) throws {
        let expected = try Self.run(Self.plan(), ranks: 1).state, folder = TemporaryFolder()
        _ = try Self.run(Self.plan(), in: folder, ranks: ranks.0, interruption: 4)
        #expect(try Self.run(Self.plan(), in: folder, ranks: ranks.1).state.differences(from: expected) == [])
    }

    /// Always masked: central tensors and their moments stay, and the others do not.
    @Test func maskedTensorsStay() throws {
        let before = try SimulatedCluster.run(ranks: 1) { try TinyRun($0, Self.plan()).state }[0]
        let after = try Self.run(Self.plan(mask: 1, updates: 10), ranks: 1).state
        var central = 0, own = 0
        for (name, bits) in after.tensors where name.contains(".central.") && !name.hasPrefix("average.") {
            #expect(bits == before.tensors[name], "\(name)")
            central += 1
        }
        for (name, bits) in after.tensors where name.contains(".mpo.2") && !name.hasPrefix("adam.") {
            own += bits == before.tensors[name] ? 0 : 1
        }
        #expect(central > 0 && own > 0)
        let some = try Self.run(Self.plan(mask: 0.5), ranks: 1), several = try Self.run(Self.plan(mask: 0.5), ranks: 2)
        #expect(some.norms == several.norms && some.state.differences(from: several.state) == [])
    }

    /// Frozen central tensors: what is computed of them follows the others still.
    @Test func centralTensorsMayBeFrozen() throws {
        var plan = Self.plan()
        plan.training.trained = .matching(["*.mpo.*", "*.gates.*"])
        let alone = try Self.run(plan, ranks: 1), several = try Self.run(plan, ranks: 3)
        #expect(alone.norms == several.norms && alone.state.differences(from: several.state) == [])
        #expect(alone.state.tensors["adam.m.encoder.layers.1.moe.central.fc1"]!.allSatisfy { $0 == nil })
    }
}
