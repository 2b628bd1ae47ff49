import DataPipeline
import Foundation
import MixtureMethods
import MixtureOfExperts
import Runs
import TensorCore
import Testing
import _TestSupport

@testable import ModelSurgery

/// Experts that are merged: the cases of the specification, reference results, and what stays to the bit.
@Suite(.hangLimit) struct MergeTests {
    // MARK: by hand

    @Test func alignmentsByHand() {
        let o: [Float] = [1, 0, 0, 1, -1, 0, 0, -1]
        // Twice as large and turned by a right angle.
        let turned: [Float] = [0, 2, -2, 0, 0, -2, 2, 0]
        let line: [Float] = [1, 1, 1, 1, -1, -1, -1, -1], other: [Float] = [1, 0, -1, 0, 1, 0, -1, 0]
        let found = ExpertSimilarity.alignments([o, turned, line, other], dim: 2)
        #expect(abs(found[0][0] - 1) < 1e-6 && abs(found[0][1] - 1) < 1e-6)
        #expect(abs(found[0][2] - 0.707107) < 1e-6 && abs(found[0][3]) < 1e-6 && found[2][0] == found[0][2])
    }

    @Test func groupsByHand() {
        let similarity = [[1, 0.2, 0.9, 0.1], [0.2, 1, 0.3, 0.8], [0.9, 0.3, 1, 0.25], [0.1, 0.8, 0.25, 1]]
        #expect(ExpertSimilarity.groups(similarity, count: 4) == [[0], [1], [2], [3]])
        #expect(ExpertSimilarity.groups(similarity, count: 3) == [[0, 2], [1], [3]])
        #expect(ExpertSimilarity.groups(similarity, count: 2) == [[0, 2], [1, 3]])
        #expect(ExpertSimilarity.groups(similarity, count: 1) == [[0, 1, 2, 3]])
        let equal = [[Double]](repeating: [1, 1, 1], count: 3)
        #expect(ExpertSimilarity.groups(equal, count: 2) == [[0, 1], [2]], "ties go to the lower")
        #expect(abs(ExpertSimilarity.mean(similarity, among: [0, 1, 2]) - (0.2 + 0.9 + 0.3) / 3) < 1e-12)
    }

    @Test func assignmentsAreLeast() {
        #expect(leastAssignment([4, 1, 3, 2, 0, 5, 3, 2, 2], count: 3) == [1, 0, 2])
        let key = RandomKey(seed: 9), costs = (0..<36).map { key.uniform($0) }
        func cost(_ order: [Int]) -> Float { order.enumerated().reduce(0) { $0 + costs[$1.offset * 6 + $1.element] } }
        func permutations(_ rest: [Int]) -> [[Int]] {
            rest.isEmpty ? [[]] : rest.flatMap { first in permutations(rest.filter { $0 != first }).map { [first] + $0 } }
        }
        let best = permutations(Array(0..<6)).map(cost).min()!
        #expect(abs(cost(leastAssignment(costs, count: 6)) - best) < 1e-6)
    }

    // MARK: models

    private static let block = "encoder.layers.1.moe"

    private static func model(_ tensors: [String: (shape: [Int], values: [Float])], strata: [Int], dim: Int, hidden: Int)
        -> StoredModel
    {
        var configuration = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p"))
        configuration.model.mixture = MixtureConfiguration(strata: strata)
        (configuration.model.dim, configuration.model.ffnDim) = (dim, hidden)
        return StoredModel(
            configuration: configuration, parameters: MemoryTensors(tensors: tensors), step: 1, dataFingerprint: "d",
            tokenizer: "none", path: "model")
    }

    /// Experts of two units of width 1 with gates of the same; expert e's tensors by `expert`.
    private static func small(_ experts: [(w1: [Float], b1: [Float], w2: [Float], b2: Float)]) -> StoredModel {
        var tensors: [String: (shape: [Int], values: [Float])] = [:]
        for (id, expert) in experts.enumerated() {
            tensors["\(block).experts.\(id).fc1.weight"] = ([2, 1], expert.w1)
            tensors["\(block).experts.\(id).fc1.bias"] = ([2], expert.b1)
            tensors["\(block).experts.\(id).fc2.weight"] = ([1, 2], expert.w2)
            tensors["\(block).experts.\(id).fc2.bias"] = ([1], [expert.b2])
        }
        tensors["\(block).gates.0.weight"] = ([experts.count, 1], experts.indices.map { Float(2 * $0 + 2) })
        tensors["\(block).norms.0.weight"] = ([1], [3])
        return model(tensors, strata: [experts.count], dim: 1, hidden: 2)
    }

    private static let rows = CalibrationRows(dim: 1, rows: ["encoder.layers.1": [1, 2, -1, 0.5, -3]])

    private static func merged(_ model: StoredModel, _ groups: [Int], usage: [Int]? = nil) throws -> StoredModel {
        var copy = model
        copy.configuration.model.mixture?.topK = 1
        var merging = ExpertMerging(groups: groups)
        merging.weights = usage == nil ? .uniform : .usage
        return try copy.merged(merging, rows: rows, usage: [block: usage ?? []])
    }

    /// Usage 30 : 10 of gates 2 and 4 is 2.5; the hidden units of a copy in another order are found.
    @Test func usageWeighs() throws {
        let model = Self.small([([1, -2], [0.5, 0], [2, 1], 1), ([-2, 1], [0, 0.5], [1, 2], 3)])
        let merged = try Self.merged(model, [1], usage: [30, 10])
        #expect(try merged.parameters.values("\(Self.block).gates.0.weight") == [2.5])
        #expect(try merged.parameters.values("\(Self.block).experts.0.fc1.weight") == [1, -2])
        #expect(try merged.parameters.values("\(Self.block).experts.0.fc1.bias") == [0.5, 0])
        #expect(try merged.parameters.values("\(Self.block).experts.0.fc2.weight") == [2, 1])
        #expect(try merged.parameters.values("\(Self.block).experts.0.fc2.bias") == [1.5])
        #expect(merged.configuration.model.mixture?.strata == [1] && merged.parameters.names.count == 6)
        #expect(merged.history == ["merged to strata 1 by cka, weights by usage"])
        let unused = try Self.merged(model, [1], usage: [0, 0])
        #expect(try unused.parameters.values("\(Self.block).gates.0.weight") == [3], "unused ones weigh alike")
    }

    @Test func groupsOfOneStayToTheBit() throws {
        let model = Self.small([
            ([0.1, -2.3], [0.5, 0], [2, 1], 1), ([-2, 1.7], [0, 0.7], [1, 2], 3), ([3, 1], [1, 1], [0, 2], 0),
        ])
        let merged = try Self.merged(model, [3])
        #expect(merged.parameters.names == model.parameters.names)
        for name in model.parameters.names {
            #expect(
                try merged.parameters.values(name) == model.parameters.values(name)
                    && merged.parameters.shape(name) == model.parameters.shape(name))
        }
    }

    @Test func whatCannotBeMergedIsRefused() throws {
        func refusal(_ change: (inout StoredModel) -> Void, groups: [Int] = [1], weights: ExpertMerging.Weights = .uniform)
            -> String
        {
            var model = Self.small([([1, -2], [0.5, 0], [2, 1], 1), ([-2, 1], [0, 0.5], [1, 2], 3)])
            model.configuration.model.mixture?.topK = 1
            change(&model)
            var merging = ExpertMerging(groups: groups)
            merging.weights = weights
            do { _ = try model.merged(merging, rows: Self.rows, usage: [:]) } catch { return "\(error)" }
            return "none"
        }
        #expect(refusal { _ in } == "none")
        #expect(refusal { $0.configuration.model.mixture = nil }.contains("must have experts for some to be merged"))
        #expect(refusal({ _ in }, groups: [3]).hasPrefix("--groups must have a number from 1 to the experts"))
        #expect(refusal({ _ in }, groups: [1, 1]).hasPrefix("--groups must have a number from 1 to the experts"))
        let few = refusal { $0.configuration.model.mixture?.topK = 2 }
        #expect(few.hasPrefix("--groups must leave at least 2 experts"))
        #expect(refusal({ _ in }, weights: .usage).contains("the analysis must have \(Self.block), but has not"))
        func changed(_ name: String, _ shape: [Int]) -> String {
            refusal { model in
                var tensors = (model.parameters as! MemoryTensors).tensors
                tensors["\(Self.block).\(name)"] = (shape, [Float](repeating: 0, count: shape.reduce(1, *)))
                model.parameters = MemoryTensors(tensors: tensors)
            }
        }
        #expect(changed("experts.0.adapter.up.weight", [1, 1]).contains("experts.0.adapter.up.weight cannot be merged"))
        #expect(
            changed("gates.0.1.weight", [2, 1]).contains("gates.0.1.weight cannot be merged: only gates of one matrix can"))
        #expect(changed("experts.1.fc1.bias", [3]).contains("experts.1.fc1.bias must be of shape [2], but is of shape [3]"))
    }

    // MARK: reference results

    private static let files = OracleFiles.names("method_merge_")

    @Test func thereAreFiles() { #expect(!Self.files.isEmpty) }

    @Test(arguments: files) func asTheReferenceDoes(name: String) throws {
        let file = try OracleFiles.open(name)
        func list(_ key: String) throws -> [Int] {
            try JSONDecoder().decode([Int].self, from: Data((file.metadata[key] ?? "").utf8))
        }
        let strata = try list("strata"), groups = try list("groups"), experts = strata.reduce(0, +)
        let (dim, hidden) = (Int(file.metadata["model_dim"]!)!, Int(file.metadata["ffn_dim"]!)!), rows = file.floats("rows")!
        var tensors: [String: (shape: [Int], values: [Float])] = [:], expected = tensors
        for (key, entry) in file.entries {
            if key.hasPrefix("param.") { tensors["\(Self.block)." + key.dropFirst(6)] = (entry.shape, file.floats(key)!) }
            if key.hasPrefix("merged.param.") {
                expected["\(Self.block)." + key.dropFirst(13)] = (entry.shape, file.floats(key)!)
            }
        }
        let model = Self.model(tensors, strata: strata, dim: dim, hidden: hidden)
        let networks = try (0..<experts).map { try FeedForwardValues("\(Self.block).experts.\($0)", of: model) }
        var first = 0
        for (stratum, size) in strata.enumerated() {
            let found = ExpertSimilarity.alignments(networks[first..<first + size].map { $0.outputs(rows) }, dim: dim)
            try expectClose(
                found.flatMap { $0.map { Float($0) } }, file.floats("cka.\(stratum)")!, tolerance: 1e-5, "stratum \(stratum)")
            first += size
        }
        let usage = file.integers("usage")!.map(Int.init)
        var made: [MergedGroup] = []
        let merged = try model.merged(
            ExpertMerging(groups: groups), rows: CalibrationRows(dim: dim, rows: ["encoder.layers.1": rows]),
            usage: [Self.block: usage]
        ) { made = $1 }
        var group = [Int32](repeating: -1, count: experts), alpha = [Float](repeating: 0, count: experts)
        let units = file.integers("units")!
        for (number, own) in made.enumerated() {
            for (member, weight) in zip(own.members, own.weights) {
                (group[member], alpha[member]) = (Int32(number), Float(weight))
            }
            let heaviest = own.members[own.weights.indices.max { (own.weights[$0], $1) < (own.weights[$1], $0) }!]
            for member in own.members {
                let order = networks[member].units(closestTo: networks[heaviest]).map { Int32($0) }
                #expect(order == Array(units[member * hidden..<(member + 1) * hidden]), "expert \(member)")
            }
        }
        #expect(group == file.integers("group")!)
        try expectClose(alpha, file.floats("alpha")!, tolerance: 1e-5, "alpha")
        #expect(merged.configuration.model.mixture?.strata == groups && merged.parameters.names == expected.keys.sorted())
        for (key, tensor) in expected {
            #expect(merged.parameters.shape(key) == tensor.shape)
            var values = [Float](repeating: .nan, count: tensor.values.count)
            // In pieces that begin in the middle of rows.
            for start in stride(from: 0, to: values.count, by: 23) {
                try values.withUnsafeMutableBufferPointer {
                    try merged.parameters.read(key, start..<min(start + 23, $0.count), into: $0.baseAddress! + start)
                }
            }
            try expectClose(values, tensor.values, tolerance: 1e-5, key)
        }
    }
}
