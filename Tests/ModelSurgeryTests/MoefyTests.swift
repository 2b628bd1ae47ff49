import Collectives
import DataPipeline
import Foundation
import MixtureOfExperts
import Runs
import TensorCore
import Testing
import _TestSupport
import _TinyRuns

@testable import ModelSurgery

/// Dense networks split into experts: the cases of the specification, reference results, and the promise that all experts are the
/// network.
@Suite(.hangLimit) struct MoefyTests {
    // MARK: by hand

    private static let weight: [Float] = [1, 0, 0, 1, 2, 0.2, -0.1, 1], bias: [Float] = [0, 0, -0.5, 0.1]
    private static let rows: [Float] = [1, 0.2, 0.2, 1, -1, 1]
    private static let parts = NeuronExperts(neurons: [0, 2, 1, 3], experts: 2)
    private static var activations: HiddenActivations { HiddenActivations(weight: weight, bias: bias, dim: 2) }

    @Test func activationsByHand() throws {
        try expectClose(
            Self.activations(Self.rows), [1, 0.2, 1.54, 0.2, 0.2, 1, 0.1, 1.08, 0, 1, 0, 1.2], tolerance: 1e-5, "activations")
        let masses = Self.activations.masses(Self.rows, Self.parts)
        try expectClose(masses, [2.54, 0.4, 0.3, 2.08, 0, 2.2], tolerance: 1e-5, "masses")
        #expect(Self.activations.frequencies(Self.rows) == [2 / 3.0, 1, 2 / 3.0, 1])
        #expect(abs(RouterFit.share(masses, masses: masses, experts: 2, count: 1) - 6.82 / 7.52) < 1e-6)
        // The mean over tokens of the share that the best one holds.
        let each = (0..<3).map { token in
            RouterFit.share(
                Array(masses[token * 2..<token * 2 + 2]), masses: Array(masses[token * 2..<token * 2 + 2]), experts: 2, count: 1
            )
        }
        #expect(abs(each.reduce(0, +) / 3 - 0.912632) < 1e-5)
        #expect(RouterFit.share(masses, masses: masses, experts: 2, count: 2) == 1)
    }

    @Test func coactivationsByHand() throws {
        let edges = Self.activations.coactivations(of: [0, 1, 2, 3], Self.rows).map { $0 * 3 }
        let expected: [(Int, Int, Float)] = [
            (0, 1, 0.4), (0, 2, 1.56), (0, 3, 0.416), (1, 2, 0.408), (1, 3, 2.32), (2, 3, 0.416),
        ]
        for (a, b, edge) in expected { #expect(abs(edges[a * 4 + b] - edge) < 1e-5 && edges[a * 4 + b] == edges[b * 4 + a]) }
        let labels = BalancedClustering.cut(edges, count: 2)
        #expect(labels[0] == labels[2] && labels[1] == labels[3] && labels[0] != labels[1])
    }

    @Test func routersByHand() throws {
        let units = unitRows(Self.weight, dim: 2), centres = Self.parts.centres(units, dim: 2)
        try expectClose(centres, [0.997519, 0.049752, -0.049752, 0.997519], tolerance: 1e-5, "centres")
        let h: [Float] = [1, 0.2]
        let cosines = RouterFit(.linear, centres: unitRows(centres, dim: 2), dim: 2).scores(unitRows(h, dim: 2))
        try expectClose(cosines, [0.989133, 0.147026], tolerance: 2e-5, "cosines")
        let mlp = RouterFit(.twoLayers, centres: centres, dim: 2)
        try expectClose(mlp.scores(h), [0.756467, 0.145797], tolerance: 1e-5, "two layers at the start")
        let masses = Self.activations.masses(Self.rows, Self.parts)
        let zero = RouterFit(.twoLayers, centres: [0, 0, 0, 0], dim: 2)
        #expect(abs(zero.loss(Self.rows, masses: masses) - 0.693147) < 1e-6)
    }

    /// Unbalanced k-means would put three of the four together.
    @Test func clustersByHand() throws {
        let points: [Float] = [1, 0, 0.96, 0.28, 0.8, 0.6, 0, 1]
        let (labels, centres) = BalancedClustering.clusters(points, dim: 2, from: [1, 0, 0, 1])
        #expect(labels == [0, 0, 1, 1])
        try expectClose(centres, [0.98, 0.14, 0.4, 0.8], tolerance: 1e-6, "centres")
        #expect(abs(BalancedClustering.sumOfSquares(points, dim: 2, labels, count: 2) - 0.44) < 1e-6)
        let found = BalancedClustering.clusters(points, dim: 2, count: 2, key: RandomKey(seed: 1))
        #expect(found[0] == found[1] && found[2] == found[3] && found[0] != found[2])
    }

    /// Clusters are equal in size, the same again, and better than drawn ones.
    @Test func clustersAreBalanced() {
        let key = RandomKey(seed: 3), points = unitRows((0..<480).map { key.normal($0) }, dim: 8)
        let labels = BalancedClustering.clusters(points, dim: 8, count: 5, key: key)
        #expect((0..<5).allSatisfy { label in labels.count { $0 == label } == 12 })
        #expect(labels == BalancedClustering.clusters(points, dim: 8, count: 5, key: key))
        let drawn = (0..<60).map { $0 % 5 }
        let sums = [labels, drawn].map { BalancedClustering.sumOfSquares(points, dim: 8, $0, count: 5) }
        #expect(sums[0] < 0.9 * sums[1], "\(sums)")
    }

    /// A gate that is fitted finds more than one that is not.
    @Test func fittingHelps() {
        let key = RandomKey(seed: 5), dim = 8, experts = 6, tokens = 1200
        let rows = (0..<tokens * dim).map { key.normal($0) }, weight = (0..<24 * dim).map { key.derived(1).normal($0) }
        let activations = HiddenActivations(weight: weight, bias: [Float](repeating: 0, count: 24), dim: dim)
        let parts = NeuronExperts(neurons: Array(0..<24), experts: experts), masses = activations.masses(rows, parts)
        let centres = parts.centres(unitRows(weight, dim: dim), dim: dim)
        for kind in [RouterFit.Kind.linear, .twoLayers] {
            var gate = RouterFit(kind, centres: centres, dim: dim)
            func share() -> Double { RouterFit.share(gate.scores(rows), masses: masses, experts: experts, count: 2) }
            let (before, loss) = (share(), gate.loss(rows, masses: masses))
            gate.fit(rows, masses: masses, key: key)
            let best = RouterFit.share(masses, masses: masses, experts: experts, count: 2)
            #expect(share() > before && share() <= best && gate.loss(rows, masses: masses) < loss, "\(kind)")
        }
    }

    // MARK: reference results

    private static let files = OracleFiles.names("method_moefy_").filter {
        (try? OracleFiles.open($0).metadata["method"]) == "moefy"
    }

    @Test func thereAreFiles() { #expect(!Self.files.isEmpty) }

    @Test(arguments: files) func asTheReferenceDoes(name: String) throws {
        let file = try OracleFiles.open(name)
        func number(_ key: String) throws -> Int { try #require(file.metadata[key].flatMap { Int($0) }) }
        let (dim, hidden, experts) = (try number("model_dim"), try number("ffn_dim"), try number("experts"))
        let rows = file.floats("h")!, tokens = rows.count / dim
        let parts = NeuronExperts(neurons: file.integers("neurons")!.map(Int.init), experts: experts)
        let weight = file.floats("dense.fc1.weight")!, weight2 = file.floats("dense.fc2.weight")!
        let activations = HiddenActivations(weight: weight, bias: file.floats("dense.fc1.bias")!, dim: dim)
        let centres = parts.centres(unitRows(weight, dim: dim), dim: dim)
        try expectClose(centres, file.floats("centres")!, tolerance: 1e-5, "centres")
        let masses = activations.masses(rows, parts)
        try expectClose(masses, file.floats("scores.groundtruth")!, tolerance: 1e-5, "masses")
        let similarity = RouterFit(.linear, centres: unitRows(centres, dim: dim), dim: dim)
        try expectClose(
            similarity.scores(unitRows(rows, dim: dim)), file.floats("scores.similarity")!, tolerance: 1e-5, "cosines")
        try expectClose(
            RouterFit(.twoLayers, centres: centres, dim: dim).scores(rows), file.floats("scores.mlp_start")!, tolerance: 1e-5,
            "two layers at the start")
        let hiddenRows = activations(rows)
        for k in try JSONDecoder().decode([Int].self, from: Data(file.metadata["k"]!.utf8)) {
            // The order of closeness is that of the products, whatever the rows' lengths.
            for (selection, scores) in [("groundtruth", masses), ("similarity", similarity.scores(rows))] {
                let key = "\(selection).k\(k)"
                let share = RouterFit.share(scores, masses: masses, experts: experts, count: k)
                #expect(abs(share - Double(file.floats("\(key).share")![0])) < 1e-5, "\(key)")
                var y = [Float](repeating: 0, count: tokens * dim), chosen: [Int32] = []
                for token in 0..<tokens {
                    let own = (0..<experts).sorted {
                        (scores[token * experts + $0], $1) > (scores[token * experts + $1], $0)
                    }.prefix(k)
                    chosen += own.map { Int32($0) }
                    for column in 0..<dim {
                        y[token * dim + column] = own.reduce(file.floats("dense.fc2.bias")![column]) { sum, expert in
                            parts.neurons(of: expert).reduce(sum) {
                                $0 + weight2[column * hidden + $1] * hiddenRows[token * hidden + $1]
                            }
                        }
                    }
                }
                #expect(chosen == file.integers("\(key).experts")!, "\(key)")
                try expectClose(y, file.floats("\(key).y")!, tolerance: 1e-5, key)
                if k == experts { try expectClose(y, file.floats("dense.y")!, tolerance: 1e-5, "\(key), the whole network") }
            }
        }
    }

    // MARK: models

    /// A dense model after a few updates, its loss on held-out text, and what its networks read.
    private static let dense: (model: StoredModel, loss: Double, rows: CalibrationRows) = {
        let (tensors, loss, configuration, rows) = try! SimulatedCluster.run(ranks: 1) { world in
            let run = try TinyRun(world, TinyPlan(strata: []))
            for _ in 1...5 { _ = try run.trainer.step() }
            var tensors: [String: (shape: [Int], values: [Float])] = [:]
            for location in run.model.store.locations(.replicated) {
                let values = run.model.store.section(.replicated).values.buffer[location.range]
                tensors[location.slice.name] = (location.slice.shape, Array(values))
            }
            var full = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p"))
            full.model = run.model.configuration
            let model = StoredModel(
                configuration: full, parameters: MemoryTensors(tensors: tensors), step: 5, dataFingerprint: "d",
                tokenizer: "none", path: "dense")
            let rows = try CalibrationRows(
                model, groups: run.groups(ofUpdate: 1) + run.groups(ofUpdate: 2), tokens: 300, threads: 1, alone: world)
            return (tensors, try run.validate().validLoss, full, rows)
        }[0]
        let model = StoredModel(
            configuration: configuration, parameters: MemoryTensors(tensors: tensors), step: 5, dataFingerprint: "d",
            tokenizer: "none", path: "dense")
        return (model, loss, rows)
    }()

    @Test func rowsAreWhatNetworksRead() {
        let rows = Self.dense.rows
        #expect(rows.dim == 16 && rows.rows.count == 4 && rows.rows.values.allSatisfy { $0.count == 300 * 16 })
        // LayerNorm's gain is near 1 still.
        let squares = rows.rows["decoder.layers.1"]!.reduce(0) { $0 + Double($1) * Double($1) }
        #expect(abs(squares / 4800 - 1) < 0.1)
    }

    @Test(arguments: [[8], [2, 6], [4, 4]], [1, 3]) func allExpertsAreTheDenseModel(strata: [Int], ranks: Int) throws {
        for (every, partition, router) in [
            (1, .random, .mlp), (2, .clustering, .similarity), (1, .coactivation, .linear),
        ] as [(Int, Moefication.Partition, Moefication.Router)] where ranks == 1 || every == 2 {
            var moefication = Moefication(strata: strata, topK: 8)
            (moefication.every, moefication.partition, moefication.router) = (every, partition, router)
            #expect(moefication.isExact)
            let split = try Self.dense.model.moefied(moefication, rows: Self.dense.rows)
            let loss = try heldOutLoss(of: split, ranks: ranks)
            #expect(abs(loss - Self.dense.loss) < 1e-6 * Self.dense.loss, "\(loss), dense \(Self.dense.loss)")
        }
    }

    /// More experts are nearer to the dense model, and the units of all experts are those of the network, to the bit.
    @Test func someExpertsAreNear() throws {
        var layers: [MoefiedLayer] = [], losses: [Double] = []
        for topK in [1, 2, 4, 8] {
            let split = try Self.dense.model.moefied(Moefication(strata: [8], topK: topK), rows: Self.dense.rows) {
                if topK == 2 { layers.append($0) }
            }
            losses.append(abs(try heldOutLoss(of: split, ranks: 1) - Self.dense.loss))
        }
        #expect(losses[0] > losses[3] && losses[3] < 1e-6, "\(losses)")
        #expect(layers.map(\.name).sorted() == Self.dense.rows.rows.keys.sorted())
        #expect(layers.allSatisfy { $0.share <= $0.bestShare && $0.share > 0.2 })
        let split = try Self.dense.model.moefied(Moefication(strata: [2, 6], topK: 2), rows: Self.dense.rows)
        #expect(split.history == ["split into strata [2, 6], every 1, top-2, by clustering, mlp gates, frequent-last, seed 1"])
        var columns: Set<[UInt32]> = [], expected = columns
        let whole = try Self.dense.model.parameters.values("encoder.layers.0.ffn.fc2.weight")
        for unit in 0..<32 { expected.insert((0..<16).map { whole[$0 * 32 + unit].bitPattern }) }
        for expert in 0..<8 {
            let name = "encoder.layers.0.moe.experts.\(expert).fc2.weight"
            #expect(split.parameters.shape(name) == [16, 4])
            var values = [Float](repeating: .nan, count: 64)
            // In pieces that begin in the middle of rows.
            for start in stride(from: 0, to: 64, by: 7) {
                try values.withUnsafeMutableBufferPointer {
                    try split.parameters.read(name, start..<min(start + 7, 64), into: $0.baseAddress! + start)
                }
            }
            for unit in 0..<4 { columns.insert((0..<16).map { values[$0 * 4 + unit].bitPattern }) }
        }
        #expect(columns == expected)
        #expect(
            split.parameters.names == split.parameters.names.sorted()
                && !split.parameters.names.contains { $0.contains(".ffn") })
    }

    /// The units that most tokens activate are those of the last stratum, or of the first.
    @Test func frequentUnitsGoWhereTheyAreSaidTo() throws {
        let layer = "encoder.layers.1"
        let activations = HiddenActivations(
            weight: try Self.dense.model.parameters.values("\(layer).ffn.fc1.weight"),
            bias: try Self.dense.model.parameters.values("\(layer).ffn.fc1.bias"), dim: 16)
        let rows = Self.dense.rows.rows[layer]!, frequency = activations.frequencies(rows)
        for order in Moefication.Order.allCases {
            var moefication = Moefication(strata: [2, 6], topK: 2)
            moefication.order = order
            let split = try Self.dense.model.moefied(moefication, rows: Self.dense.rows)
            let first = try (0..<2).flatMap { try split.parameters.values("\(layer).moe.experts.\($0).fc1.weight") }
            // Each row is known by its first element.
            let units = stride(from: 0, to: first.count, by: 16).map { start in
                (0..<32).first { activations.weight[$0 * 16] == first[start] }!
            }
            let rest = Set(0..<32).subtracting(units)
            let (own, others) = (units.map { frequency[$0] }, rest.map { frequency[$0] })
            #expect(order == .frequentLast ? own.max()! <= others.min()! : own.min()! >= others.max()!)
        }
    }

    @Test func whatCannotBeSplitIsRefused() throws {
        func refusal(_ model: StoredModel = Self.dense.model, _ change: (inout Moefication) -> Void) -> String {
            var moefication = Moefication(strata: [8], topK: 2)
            change(&moefication)
            do { _ = try model.moefied(moefication, rows: Self.dense.rows) } catch { return "\(error)" }
            return "none"
        }
        #expect(
            refusal { $0.strata = [5] } == "--strata must have a number of experts that divides model.ffn_dim, 32, but has 5")
        #expect(refusal { $0.topK = 9 } == "--top-k must be 1 to the experts, 8, but is 9")
        #expect(refusal { $0.every = 3 } == "--every must be 1 to the model's layers, 2, but is 3")
        let split = try Self.dense.model.moefied(Moefication(strata: [8], topK: 2), rows: Self.dense.rows)
        #expect(refusal(split) { _ in }.hasPrefix("dense: must be a dense model"))
        #expect(throws: SurgeryError.self) {
            try Self.dense.model.moefied(Moefication(strata: [8], topK: 2), rows: CalibrationRows(dim: 16, rows: [:]))
        }
        var foreign = Self.dense.model, tensors = (foreign.parameters as! MemoryTensors).tensors
        tensors["encoder.layers.0.ffn.fc1.bias"] = ([2], [0, 0])
        foreign.parameters = MemoryTensors(tensors: tensors)
        #expect(refusal(foreign) { _ in }.contains("encoder.layers.0.ffn.fc1.bias must be of shape [32], but is of shape [2]"))
    }
}
