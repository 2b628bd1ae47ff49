import Checkpoints
import DataPipeline
import Foundation
import MixtureMethods
import MixtureOfExperts
import ModelSurgery
import Runs
import Testing
import _TestSupport
import _TinyRuns

/// Models that lose experts.
@Suite struct PruneTests {
    private static func rounded(_ values: [Double]) -> [Double] { values.map { ($0 * 1e6).rounded() / 1e6 } }

    /// One stratum, of which the paper's equations (3) and (4) are. By hand.
    @Test func oneStratumByHand() {
        let use = GateUse(tokens: 100, first: [50, 30, 15, 5], second: [0, 10, 40, 50], confidence: [0.6, 0.9, 0.4, 0.3])
        let pruning = BlockPruning([use], strata: [4], keep: 0.5, by: .importance)
        #expect(Self.rounded(pruning.shares) == [0.469568, 0.380310, 0.115335, 0.034786] && pruning.kept == [0, 1])
        let vanilla = BlockPruning([use], strata: [4], keep: 0.25, by: .vanilla)
        #expect(Self.rounded(vanilla.shares.map { $0 * 0.645 }) == [0.3, 0.27, 0.06, 0.015] && vanilla.kept == [0])
        #expect(BlockPruning([use], strata: [4], keep: 0.5, by: .top1).kept == [0, 1])
        #expect(
            BlockPruning([use], strata: [4], keep: 0.5, by: .top2).kept == [2, 3], "55 each")
    }

    /// Strata 2-2, the second gate sees the last two. By hand.
    @Test func twoGatesByHand() {
        let gates = [
            GateUse(tokens: 10, first: [5, 1, 3, 1], second: [0, 0, 0, 0], confidence: [0.6, 0.5, 0.5, 0.4]),
            GateUse(tokens: 6, first: [0, 0, 4, 2], second: [0, 0, 0, 0], confidence: [0, 0, 0.8, 0.6]),
        ]
        let pruning = BlockPruning(gates, strata: [2, 2], keep: 0.5, by: .importance)
        #expect(Self.rounded(pruning.shares) == [0.846763, 0.153237, 0.729459, 0.270541] && pruning.kept == [0, 2])
        #expect(BlockPruning(gates, strata: [2, 2], keep: 0.01, by: .importance).kept == [0, 2], "a stratum is never empty")
        #expect(BlockPruning(gates, strata: [2, 2], keep: 1, by: .importance).kept == [0, 1, 2, 3])
        #expect(BlockPruning(gates, strata: [2, 2], keep: 0.5, by: .random, random: [0.1, 0.2, 0.4, 0.3]).kept == [1, 2])
    }

    @Test func usesOfTwoTextsAddUp() {
        let one = GateUse(tokens: 4, first: [3, 1, 0], second: [0, 1, 2], confidence: [0.5, 0.4, 0])
        let two = GateUse(tokens: 2, first: [1, 1, 0], second: [1, 0, 1], confidence: [0.9, 0.6, 0])
        let sum = one + two
        #expect(sum.tokens == 6 && sum.first == [4, 2, 0] && sum.second == [1, 1, 3])
        #expect(Self.rounded(sum.confidence) == [0.6, 0.5, 0])
    }

    private static let files = OracleFiles.names("method_prune_").filter {
        (try? OracleFiles.open($0).metadata["method"]) == "prune"
    }

    @Test func thereAreFiles() { #expect(!Self.files.isEmpty) }

    /// What an independent program keeps, and the parameters that it has then.
    @Test(arguments: files) func asTheReferenceDoes(name: String) throws {
        let file = try OracleFiles.open(name)
        func list(_ key: String) throws -> [Int] {
            try JSONDecoder().decode([Int].self, from: Data((file.metadata[key] ?? "").utf8))
        }
        let strata = try list("strata"), keep = try list("keep"), experts = strata.reduce(0, +)
        var first = 0
        let gates = strata.indices.map { gate in
            func all(_ values: [Float]) -> [Double] {
                [Double](repeating: 0, count: experts - values.count) + values.map(Double.init)
            }
            let counts = all(file.floats("metric.first.\(gate)") ?? [])
            return GateUse(
                tokens: Int(counts.reduce(0, +)), first: counts.map { Int($0) }, second: counts.map { _ in 0 },
                confidence: all(file.floats("metric.conf.\(gate)") ?? []))
        }
        // Each stratum has a share of its own to keep: asked for one by one.
        var kept: [Int] = [], shares: [Double] = []
        for (stratum, size) in strata.enumerated() {
            let pruning = BlockPruning(
                gates, strata: strata, keep: Double(keep[stratum]) / Double(size), by: .importance)
            kept += pruning.kept.filter { (first..<first + size).contains($0) }
            shares = pruning.shares
            first += size
        }
        #expect(kept == file.integers("kept")?.map(Int.init))
        try expectClose(shares.map { Float($0) }, file.floats("shares") ?? [], tolerance: 1e-5, "shares")

        var tensors: [String: (shape: [Int], values: [Float])] = [:], expected = tensors
        for (key, entry) in file.entries {
            if key.hasPrefix("param.") {
                tensors["encoder.layers.1.moe." + key.dropFirst(6)] = (entry.shape, file.floats(key)!)
            }
            if key.hasPrefix("pruned.param.") {
                expected["encoder.layers.1.moe." + key.dropFirst(13)] = (entry.shape, file.floats(key)!)
            }
        }
        var configuration = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p"))
        configuration.model.mixture = MixtureConfiguration(strata: strata)
        let model = StoredModel(
            configuration: configuration, parameters: MemoryTensors(tensors: tensors), step: 1, dataFingerprint: "d",
            tokenizer: "none", path: "model")
        let pruned = try model.pruned(keeping: ["encoder.layers.1.moe": kept], as: "pruned")
        #expect(pruned.configuration.model.mixture?.strata == keep && pruned.history == ["pruned"])
        // The file has the gates' and norms' tensors; experts are those that stay, numbered anew.
        for (number, expert) in kept.enumerated() {
            for (key, tensor) in tensors where key.contains(".experts.\(expert).") {
                expected[key.replacing(".experts.\(expert).", with: ".experts.\(number).")] = tensor
            }
        }
        #expect(pruned.parameters.names == expected.keys.sorted())
        for (key, tensor) in expected {
            #expect(pruned.parameters.shape(key) == tensor.shape)
            var values = [Float](repeating: .nan, count: tensor.values.count)
            // In pieces that begin in the middle of rows.
            for start in stride(from: 0, to: values.count, by: 23) {
                try values.withUnsafeMutableBufferPointer {
                    try pruned.parameters.read(key, start..<min(start + 23, $0.count), into: $0.baseAddress! + start)
                }
            }
            #expect(values == tensor.values, "\(key)")
        }
    }

    /// Sides may keep other numbers; where they keep as many there is one list of strata.
    @Test func sidesShrinkEachByItself() throws {
        let model = try trainedModel(TinyPlan(strata: [3, 3]), updates: 2).model
        func pruned(_ model: StoredModel, _ encoder: [Int], _ decoder: [Int]) throws -> StoredModel {
            try model.pruned(keeping: ["encoder.layers.1.moe": encoder, "decoder.layers.1.moe": decoder], as: "pruned")
        }
        let sides = try pruned(model, [0, 2, 4], [1, 3, 4, 5]), mixture = try #require(sides.configuration.model.mixture)
        #expect(mixture.strata == [2, 1] && mixture.decoderStrata == [1, 3])
        #expect(sides.parameters.shape("encoder.layers.1.moe.gates.0.weight") == [3, 16])
        #expect(sides.parameters.shape("decoder.layers.1.moe.gates.1.weight") == [3, 16])
        // Again, from a model whose sides differ already; and it computes.
        let alike = try pruned(sides, [1, 2], [0, 2])
        #expect(alike.configuration.model.mixture?.strata == [1, 1] && alike.configuration.model.mixture?.decoderStrata == nil)
        let name = "decoder.layers.1.moe.experts"
        #expect(try alike.parameters.pieces("\(name).1.fc1.weight") == model.parameters.pieces("\(name).4.fc1.weight"))
        let losses = try [1, 2].map { try heldOutLoss(of: sides, ranks: $0) }
        #expect(losses[0] == losses[1] && losses[0].isFinite)
        #expect(throws: SurgeryError.self) { try pruned(sides, [0, 2], [0]) }
    }

    @Test func whatCannotBePrunedIsRefused() {
        var configuration = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p"))
        func refusal(_ kept: [String: [Int]]) -> String {
            let model = StoredModel(
                configuration: configuration, parameters: MemoryTensors(tensors: [:]), step: 1, dataFingerprint: "d",
                tokenizer: "none", path: "model")
            do { _ = try model.pruned(keeping: kept, as: "") } catch { return "\(error)" }
            return "none"
        }
        #expect(refusal(["a.moe": [0]]).contains("must have experts for some to be pruned, but is a dense model"))
        configuration.model.mixture = MixtureConfiguration(strata: [2, 2])
        #expect(refusal(["a.moe": [0, 1]]).contains("of every stratum at least one expert must be kept"))
        #expect(refusal(["a.moe": [0, 2], "b.moe": [0, 2, 3]]).contains("as many in each block"))
        #expect(refusal(["a.moe": [0, 2]]).contains("has the blocks []"))
        configuration.model.mixture?.topK = 3
        #expect(refusal(["a.moe": [0, 2]]).contains("at least 3 experts must be kept"))
    }
}
