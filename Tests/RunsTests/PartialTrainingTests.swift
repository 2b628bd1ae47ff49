import Autograd
import Checkpoints
import Collectives
import Foundation
import MixtureOfExperts
import Runs
import TensorCore
import Testing
import Training
import _TestSupport
import _TinyRuns

/// Training of some parameters alone.
@Suite(.hangLimit) struct PartialTrainingTests {
    private static func plan(
        _ trained: TrainedParameters = .matching(["*.experts.*", "*.gates.*", "*.ffn_norm.*", "decoder.layers.*.out.*"]),
        updates: Int = 6, sharded: Bool = false
    ) -> TinyPlan {
        var plan = TinyPlan.stratified(updates: updates)
        plan.training.trained = trained
        (plan.training.averageDecay, plan.training.clipNorm, plan.training.weightDecay) = (0.5, 0.5, 0.1)
        plan.training.tokenGroups = 3
        (plan.cadence.every, plan.shardOptimizer) = (3, sharded)
        return plan
    }

    private static func run(
        _ plan: TinyPlan, in folder: TemporaryFolder, ranks: Int, interruption: Int? = nil
    ) throws -> (state: ModelState, norms: [Double]) {
        let results = try SimulatedCluster.run(ranks: ranks) { world in
            let run = try TinyRun(world, plan, in: folder.path)
            var norms: [Double] = []
            _ = try run.run(interruption: interruption) { event in
                if case let .update(metrics) = event { norms.append(metrics.gradientNorm) }
            }
            return (run.state, norms)
        }
        return (try ModelState(joining: results.map(\.0)), results[0].1)
    }

    private static func initial(_ plan: TinyPlan) throws -> ModelState {
        try SimulatedCluster.run(ranks: 1) { try TinyRun($0, plan).state }[0]
    }

    @Test func whatIsFrozenStays() throws {
        let plan = Self.plan(updates: 20), before = try Self.initial(plan)
        let folder = TemporaryFolder(), (after, norms) = try Self.run(plan, in: folder, ranks: 1)
        var (moved, stayed) = (0, 0)
        for (name, bits) in after.tensors where !name.hasPrefix("adam.") && !name.hasPrefix("average.") {
            let isTrained = plan.training.trained.contains(name)
            #expect((bits == before.tensors[name]) == !isTrained, "\(name)")
            if isTrained { moved += 1 } else { stayed += 1 }
            // No moment of what is frozen, and one of every element of the others.
            let moments = try #require(after.tensors["adam.v.\(name)"])
            #expect(moments.allSatisfy { ($0 == nil) == !isTrained }, "\(name)")
        }
        #expect(moved > 20 && stayed > 20 && norms.allSatisfy { $0 > 0 })
        let reader = try CheckpointReader(path: "\(folder.path)/checkpoints/step-00000020")
        let names = reader.tensors.names
        #expect(names.contains("embedding.weight") && !names.contains { $0.hasSuffix("embedding.weight") && $0.hasPrefix("a") })
        #expect(names.contains("adam.m.encoder.layers.1.moe.experts.0.fc1.weight"))
    }

    /// The gradients of what is trained are those of training all, and the norm is theirs.
    @Test func gradientsAreThoseOfTrainingAll() throws {
        func gradients(_ trained: TrainedParameters) throws -> (gradients: [String: [Float]], norm: Double) {
            try SimulatedCluster.run(ranks: 1) { world in
                var plan = Self.plan(trained)
                (plan.training.averageDecay, plan.training.clipNorm) = (0, 0)
                let run = try TinyRun(world, plan), groups = run.groups(ofUpdate: 1)
                for group in groups {
                    let tape = Tape(run.model.context, recording: true)
                    _ = try run.model.loss(
                        group.batch, on: tape, isTraining: true, key: RandomKey(seed: 1).derived(group.index), smoothing: 0.1,
                        gradientScale: 1e-3, auxiliaryScale: 1)
                    try tape.backward()
                }
                var gradients: [String: [Float]] = [:], sum = 0.0
                for placement in ParameterPlacement.allCases {
                    let section = run.model.store.section(placement)
                    for location in run.model.store.locations(placement) where location.range.upperBound <= section.trained {
                        let values = Array(section.gradients.buffer[location.range])
                        gradients[location.slice.name] = values
                        sum += values.reduce(0) { $0 + Double($1) * Double($1) }
                    }
                }
                return (gradients, sum.squareRoot())
            }[0]
        }
        let some = Self.plan().training.trained, all = try gradients(.all), part = try gradients(some)
        #expect(Set(part.gradients.keys) == Set(all.gradients.keys.filter(some.contains)))
        for (name, values) in part.gradients { #expect(values == all.gradients[name], "\(name)") }
        #expect(part.norm < all.norm)
    }

    @Test(arguments: [false, true]) func ranksChangeNoBit(sharded: Bool) throws {
        let alone = try Self.run(Self.plan(), in: TemporaryFolder(), ranks: 1)
        for ranks in [2, 3] {
            let several = try Self.run(Self.plan(sharded: sharded), in: TemporaryFolder(), ranks: ranks)
            #expect(several.norms == alone.norms, "\(ranks) ranks")
            let parameters = several.state.differences(from: alone.state)
            #expect(parameters == [], "\(ranks) ranks")
        }
    }

    /// Stopped and resumed, on another number of ranks, in shares or not, it is what it would have been.
    @Test(arguments: [(1, 1), (2, 3), (3, 1)], [false, true]) func aRunGoesOn(ranks: (Int, Int), sharded: Bool) throws {
        let expected = try Self.run(Self.plan(), in: TemporaryFolder(), ranks: 1).state, folder = TemporaryFolder()
        _ = try Self.run(Self.plan(sharded: sharded), in: folder, ranks: ranks.0, interruption: 4)
        let resumed = try Self.run(Self.plan(sharded: !sharded), in: folder, ranks: ranks.1).state
        #expect(resumed.differences(from: expected) == [])
    }

    /// Where nothing of the experts, or nothing else, is trained a section has no gradients at all.
    @Test(arguments: [TrainedParameters.matching(["*.experts.*"]), .matching(["encoder.norm.*"])])
    func aSectionMayBeFrozen(trained: TrainedParameters) throws {
        let alone = try Self.run(Self.plan(trained, updates: 3), in: TemporaryFolder(), ranks: 1)
        let several = try Self.run(Self.plan(trained, updates: 3, sharded: true), in: TemporaryFolder(), ranks: 2)
        #expect(several.state.differences(from: alone.state) == [] && alone.norms.allSatisfy { $0 > 0 })
    }

    @Test func whatTheModelHasNotIsRefused() throws {
        func refusal(_ trained: TrainedParameters) throws -> String {
            do { _ = try Self.initial(Self.plan(trained)) } catch let error as RunError { return error.description }
            return "none"
        }
        #expect(
            try refusal(.matching(["*.gates.*", "*.gate.*"])).hasPrefix(
                "training.train must be patterns of the model's parameters, but \"*.gate.*\" fits none"))
        #expect(try refusal(.matching(["*.self_attn.q.*"])).hasPrefix("training.train must have all or none of "))
        #expect(try refusal(.adapters) == "none", "gates are trained where there are no adapters")
        var dense = TinyPlan(strata: [])
        dense.training.trained = .experts
        #expect(throws: RunError.self) { try Self.initial(dense) }
    }

    @Test func theIdentityHasItWhereItIsAPart() throws {
        var configuration = RunConfiguration(data: .init(format: .numerals, prepared: "p"))
        #expect(configuration.identity(vocabulary: 1, dataFingerprint: "d")["training.train"] == nil)
        configuration.training.trained = .adapters
        #expect(configuration.identity(vocabulary: 1, dataFingerprint: "d")["training.train"] == "adapters")
        configuration.training.trained = .matching(["*.gates.*", "a b"])
        let text = configuration.yaml()
        #expect(try RunConfiguration.parse(text, source: "a.yaml") == configuration, "\(text)")
    }
}
