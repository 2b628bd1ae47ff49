import Checkpoints
import Collectives
import Foundation
import ModelSurgery
import Runs
import Testing
import _TestSupport
import _TinyRuns

/// The optimizer's moments of models that are made of others, and trainings that go on with them.
@Suite(.hangLimit) struct MomentsTests {
    private static let dense = try! trainedModel(TinyPlan(strata: []), updates: 5).model

    /// Copies have the moments of what they are copies of, to the bit, with noise on them or not; what is drawn has none.
    @Test(arguments: [Float(0), 0.1]) func upcycledExpertsHaveTheDenseNetworks(noise: Float) throws {
        var upcycling = Upcycling(strata: [2, 2])
        upcycling.noise = noise
        let upcycled = try Self.dense.upcycled(upcycling)
        let (old, new) = try (#require(Self.dense.moments), #require(upcycled.moments))
        #expect(new.updates == 5)
        for (before, after) in [(old.first, new.first), (old.second, new.second)] {
            for (name, source) in [
                ("moe.experts.3.fc1.weight", "ffn.fc1.weight"), ("moe.experts.0.fc2.bias", "ffn.fc2.bias"),
                ("moe.norms.1.weight", "ffn_norm.weight"),
            ] {
                let expected = try #require(try before.pieces("decoder.layers.1.\(source)"))
                #expect(try after.pieces("decoder.layers.1.\(name)") == expected && expected.contains { $0 != 0 }, "\(name)")
            }
            #expect(try after.pieces("embedding.weight") == before.pieces("embedding.weight"))
            #expect(after.names.allSatisfy { after.shape($0) == upcycled.parameters.shape($0) })
            let without = Set(upcycled.parameters.names).subtracting(after.names)
            #expect(
                without.count == 6 && without.allSatisfy { $0.contains(".gates.") || $0.contains(".scales.") }, "\(without)")
        }
    }

    /// Experts that stay keep theirs under their new numbers, and gates the rows of these.
    @Test func prunedExpertsKeepTheirs() throws {
        let model = try trainedModel(TinyPlan(strata: [2, 2]), updates: 5, path: "mixture").model
        let pruned = try model.pruned(
            keeping: ["encoder.layers.1.moe": [1, 2], "decoder.layers.1.moe": [0, 3]], as: "pruned")
        let (old, new) = try (#require(model.moments), #require(pruned.moments))
        for (before, after) in [(old.first, new.first), (old.second, new.second)] {
            #expect(after.names == pruned.parameters.names)
            for (block, number, expert) in [("encoder", 0, 1), ("encoder", 1, 2), ("decoder", 0, 0), ("decoder", 1, 3)] {
                let name = "\(block).layers.1.moe.experts", expected = try before.pieces("\(name).\(expert).fc1.weight")
                #expect(try after.pieces("\(name).\(number).fc1.weight") == expected)
            }
            let gate = "encoder.layers.1.moe.gates.0.weight", rows = try #require(try before.pieces(gate)), width = 16
            #expect(try after.pieces(gate) == Array(rows[width..<3 * width]) && after.shape(gate) == [2, width])
        }
        // Moments of another shape are none of its.
        #expect(throws: CheckpointError.self) {
            _ = try StoredMoments(
                MemoryTensors(tensors: ["adam.m.embedding.weight": ([2], [0, 0])]), of: model.parameters, updates: 1, path: "p")
        }
    }

    /// A run that is cut in two by its moments' way through memory is the run, to the bit, but for data and schedule, which begin
    /// anew: so it is compared on several ranks with itself, and its first update with one under other moments.
    @Test func ranksChangeNoBit() throws {
        let folder = TemporaryFolder(), tokenizer = "\(folder.path)/tokenizer.model"
        try TinyCorpus.tokenizerModel.write(to: URL(fileURLWithPath: tokenizer))
        let upcycled = try trainedModel(TinyPlan(strata: []), updates: 5, tokenizer: tokenizer).model.upcycled(
            Upcycling(strata: [4, 4]))
        func run(_ ranks: [Int], moments: Bool = true, isSharded: Bool = false) throws -> ModelState {
            var plan = TinyPlan(strata: [4, 4])
            plan.model = upcycled.configuration.model
            (plan.training.warmup, plan.shardOptimizer) = (0, isSharded)
            let folder = TemporaryFolder(), final = plan
            var state: ModelState?
            for (part, count) in ranks.enumerated() {
                let path = folder.path, last = 3 * (part + 1)
                state = try ModelState(
                    joining: SimulatedCluster.run(ranks: count) { world in
                        let run = try TinyRun(world, final, in: path) { run in
                            try upcycled.load(into: run.model.store, tokenizer: TinyCorpus.shared.tokenizer)
                            guard moments else { return }
                            try upcycled.loadMoments(into: run.state, tokenizer: TinyCorpus.shared.tokenizer)
                            run.begin(withMomentsOf: upcycled.moments!.updates)
                        }
                        try #require(run.trainer.earlierUpdates == (moments ? 5 : 0))
                        while run.trainer.update < last { _ = try run.trainer.step() }
                        try run.save()
                        return run.state
                    })
            }
            return try #require(state)
        }
        let alone = try run([1])
        #expect(try run([3]).differences(from: alone) == [])
        #expect(try run([4], isSharded: true).differences(from: alone) == [])
        #expect(try run([1], moments: false).differences(from: alone).contains("embedding.weight"))
        // What had moved the moments before the run is known after a resumption.
        let whole = try run([1, 1])
        #expect(try run([3, 2]).differences(from: whole) == [])
    }

    /// Adam corrects by the updates that moved the moments: a parameter whose gradients stay moves on as it did.
    @Test func theCorrectionGoesOn() throws {
        let folder = TemporaryFolder(), tokenizer = "\(folder.path)/tokenizer.model"
        try TinyCorpus.tokenizerModel.write(to: URL(fileURLWithPath: tokenizer))
        let dense = try trainedModel(TinyPlan(strata: []), updates: 5, tokenizer: tokenizer).model
        func moved(by updates: Int) throws -> Double {
            try SimulatedCluster.run(ranks: 1) { world in
                var plan = TinyPlan(strata: [])
                (plan.training.warmup, plan.training.learningRate) = (0, 1e-3)
                let run = try TinyRun(world, plan) { run in
                    try dense.load(into: run.model.store, tokenizer: TinyCorpus.shared.tokenizer)
                    try dense.loadMoments(into: run.state, tokenizer: TinyCorpus.shared.tokenizer)
                    run.begin(withMomentsOf: updates)
                }
                let values = run.model.store.section(.replicated).values, before = Array(values.buffer)
                _ = try run.trainer.step()
                return zip(before, values.buffer).reduce(0) { $0 + Double(abs($1.0 - $1.1)) } / Double(before.count)
            }[0]
        }
        // m / (1 − β₁^t) over √(v / (1 − β₂^t)).
        func factor(_ t: Double) -> Double { (1 - pow(0.98, t)).squareRoot() / (1 - pow(0.9, t)) }
        let ratio = try moved(by: 0) / moved(by: 5), expected = factor(1) / factor(6)
        #expect(abs(ratio - expected) < 0.02 * expected, "\(ratio), not \(expected)")
    }
}
