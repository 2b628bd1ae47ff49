import ModelSurgery
import Testing
import _TestSupport
import _TinyRuns

/// Mixtures of experts that are made of a dense model.
@Suite(.hangLimit) struct UpcycleTests {
    /// A dense model after a few updates, and its loss on held-out text.
    private static let dense = try! trainedModel(TinyPlan(strata: []), updates: 5)

    @Test(arguments: [[4], [4, 4], [2, 3, 2], [2, 2, 2, 2]], [1, 3])
    func theFunctionStays(strata: [Int], ranks: Int) throws {
        let (dense, expected) = Self.dense
        for every in [1, 2] {
            var upcycling = Upcycling(strata: strata)
            upcycling.every = every
            #expect(upcycling.isExact)
            let upcycled = try dense.upcycled(upcycling), loss = try heldOutLoss(of: upcycled, ranks: ranks)
            #expect(abs(loss - expected) < 1e-6 * expected, "\(loss), dense \(expected)")
            #expect(upcycled.history.count == 1 && upcycled.step == 5)
        }
    }

    /// Adapters begin by adding 0, whatever is routed: a single choice, too.
    @Test(arguments: [[4], [2, 3, 2]], [1, 3]) func adaptersBeginAtTheDenseModel(strata: [Int], ranks: Int) throws {
        let (dense, expected) = Self.dense
        var upcycling = Upcycling(strata: strata)
        (upcycling.adapters, upcycling.topK) = (3, 1)
        #expect(upcycling.isExact)
        let adapted = try dense.upcycled(upcycling), loss = try heldOutLoss(of: adapted, ranks: ranks)
        #expect(abs(loss - expected) < 1e-6 * expected, "\(loss), dense \(expected)")
        let names = adapted.parameters.names
        #expect(names.contains("encoder.layers.1.moe.experts.0.adapter.up.weight"))
        #expect(names.contains("encoder.layers.1.moe.shared.fc1.weight") && !names.contains { $0.contains("scales") })
        #expect(adapted.history == ["upcycled into strata \(strata) of adapters of 3, every 2, top-1, seed 1"])
    }

    /// Later strata that add what they compute make it another function; so does noise.
    @Test func whatIsNotExactSaysSo() throws {
        let (dense, expected) = Self.dense
        var scaled = Upcycling(strata: [4, 4]), noisy = Upcycling(strata: [4])
        (scaled.scale, noisy.noise) = (1, 0.3)
        for upcycling in [scaled, noisy] {
            #expect(!upcycling.isExact)
            #expect(abs(try heldOutLoss(of: dense.upcycled(upcycling), ranks: 1) - expected) > 1e-4 * expected)
        }
        scaled.strata = [4]
        #expect(scaled.isExact, "one stratum has no scale")
    }

    @Test func noiseAndGatesFollowTheSeed() throws {
        func tensor(_ upcycling: Upcycling, _ name: String) throws -> [Float] {
            try #require(try Self.dense.model.upcycled(upcycling).parameters.pieces(name))
        }
        var upcycling = Upcycling(strata: [2, 2])
        upcycling.noise = 0.1
        let gate = "encoder.layers.1.moe.gates.0.weight", expert = "encoder.layers.1.moe.experts.0.fc1.weight"
        let other = "encoder.layers.1.moe.experts.1.fc1.weight"
        let first = try (tensor(upcycling, gate), tensor(upcycling, expert))
        #expect(try first == (tensor(upcycling, gate), tensor(upcycling, expert)))
        #expect(try first.1 != tensor(upcycling, other), "experts differ")
        upcycling.seed = 2
        #expect(try first.0 != tensor(upcycling, gate) && first.1 != tensor(upcycling, expert))
        upcycling.noise = 0
        #expect(try tensor(upcycling, expert) == tensor(upcycling, other))
    }

    @Test func whatCannotBeUpcycledIsRefused() throws {
        func refusal(_ model: StoredModel, _ change: (inout Upcycling) -> Void) -> String {
            var upcycling = Upcycling(strata: [4, 4])
            change(&upcycling)
            do { _ = try model.upcycled(upcycling) } catch { return "\(error)" }
            return "none"
        }
        let dense = Self.dense.model
        #expect(refusal(dense) { $0.topK = 1 }.hasPrefix("--top-k must be at least 2, but is 1"))
        #expect(
            refusal(dense) { ($0.adapters, $0.noise) = (2, 0.5) }.hasPrefix("--noise and --scale must be 0 with --adapters"))
        #expect(refusal(dense) { $0.every = 3 } == "--every must be 1 to the model's layers, 2, but is 3")
        #expect(refusal(dense) { $0.strata = [1] }.hasPrefix("--strata must have at least 2 experts"))
        #expect(
            refusal(try dense.upcycled(Upcycling(strata: [4]))) { _ in }.hasPrefix("dense: must be a dense model"))
        var foreign = dense
        var tensors = (dense.parameters as! MemoryTensors).tensors
        tensors["encoder.layers.1.ffn.fc1.weight"] = ([2, 2], [0, 0, 0, 0])
        foreign.parameters = MemoryTensors(tensors: tensors)
        #expect(
            refusal(foreign) { _ in }.contains("encoder.layers.1.ffn.fc1.weight must be of shape [32, 16], but is of shape"))
    }
}
