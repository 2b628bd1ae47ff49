import Checkpoints
import ConfigurationForms
import MixtureMethods
import MixtureOfExperts
import TensorCore

/// How the feed-forward networks of a dense model are split into experts (MoEfication, arXiv 2110.01786).
public struct Moefication: Sendable {
    /// How hidden units are put together.
    public enum Partition: String, CaseIterable, Sendable {
        /// Balanced k-means of the units' rows of the first layer, each of length 1.
        case clustering
        /// Units that are active together: balanced parts of the graph with edges Σ h_n h_m.
        case coactivation
        /// Drawn: what the others are measured against.
        case random
    }

    /// What finds a token's experts.
    public enum Router: String, CaseIterable, Sendable {
        /// Two layers, fitted.
        case mlp
        /// One, fitted.
        case linear
        /// Closeness to the experts' centres, nothing fitted.
        case similarity
    }

    /// Which units the strata get, by the share of tokens that activate them.
    public enum Order: String, CaseIterable, Sendable {
        case frequentLast = "frequent-last"
        case frequentFirst = "frequent-first"
    }

    public var strata: [Int]
    /// Choices of a token at a gate.
    public var topK: Int
    /// Every how many layers the network becomes a mixture.
    public var every = 1
    public var partition = Partition.clustering
    public var router = Router.mlp
    public var order = Order.frequentLast
    /// Clusters and batches are drawn under it.
    public var seed: UInt64 = 1

    public init(strata: [Int], topK: Int) { (self.strata, self.topK) = (strata, topK) }

    public var experts: Int { strata.reduce(0, +) }
    /// Whether the model's function is kept, to rounding: every token takes all experts.
    public var isExact: Bool { topK >= experts }

    var text: String {
        "split into strata \(strata), every \(every), top-\(topK), by \(partition.rawValue), \(router.rawValue) gates, "
            + "\(order.rawValue), seed \(seed)"
    }

    /// Methods are known by their keys here.
    fileprivate func mixture(ffnDim: Int) throws -> MixtureConfiguration {
        func scalar(_ value: Any) -> ConfigurationNode { ConfigurationNode(written: .scalar("\(value)", quoted: false)) }
        let keys: [ConfigurationNode.Entry] =
            [
                .init(key: "strata", node: ConfigurationNode(written: .list(strata.map(scalar)))),
                .init(key: "every", node: scalar(every)), .init(key: "top_k", node: scalar(topK)),
                .init(key: "capacity_factor", node: scalar("none")), .init(key: "gate_normalization", node: scalar("never")),
                .init(key: "second_expert", node: scalar("best")), .init(key: "combine", node: scalar("sum")),
                .init(key: "input", node: scalar("entry")), .init(key: "expert_widths", node: scalar(ffnDim / experts)),
            ] + (router == .mlp ? [.init(key: "gate", node: scalar("mlp"))] : [])
        return try MixtureConfiguration.form(methods: allMethods).read(root: ConfigurationNode(written: .map(keys)))
    }
}

/// A layer that was split, and how well its first gate finds the experts that matter.
public struct MoefiedLayer: Sendable {
    /// Such as `encoder.layers.0`.
    public let name: String
    /// Of all positive activations of the last tenth of the rows, the share that the experts have which the gate chooses, and at
    /// best.
    public let share: Double
    public let bestShare: Double
}

extension StoredModel {
    /// A mixture whose experts are parts of this dense model's networks: their sum, over all experts, is the network. `rows` are what
    /// each network reads; `report` is told of each layer.
    ///
    /// - Throws: `SurgeryError` if the model is no dense one, or cannot be split so; `FileError`.
    public func moefied(
        _ moefication: Moefication, rows: CalibrationRows, report: (MoefiedLayer) -> Void = { _ in }
    ) throws -> StoredModel {
        try requireSplittable(moefication)
        let model = configuration.model
        var split: [String: SplitLayer] = [:]
        for (side, count) in [("encoder", model.encoderLayers), ("decoder", model.decoderLayers)] {
            for index in 0..<count where (index + 1) % moefication.every == 0 {
                let name = "\(side).layers.\(index)", calibration = rows.rows[name] ?? []
                guard calibration.count >= 20 * rows.dim else {
                    throw SurgeryError(
                        "\(path): to split \(name) at least 20 tokens of text are needed, but there are "
                            + "\(calibration.count / rows.dim)")
                }
                let (layer, measured) = try splitLayer(name, moefication, calibration)
                split[name] = layer
                report(measured)
            }
        }
        var result = self
        result.configuration.model.mixture = try moefication.mixture(ffnDim: model.ffnDim)
        result.parameters = try SplitTensors(parameters, split, strata: moefication.strata)
        result.moments = nil
        result.history.append(moefication.text)
        return result
    }

    /// - Throws: `SurgeryError` if the model is no dense one, or cannot be split so.
    public func requireSplittable(_ moefication: Moefication) throws {
        let model = configuration.model, experts = moefication.experts
        guard model.mixture == nil else {
            throw SurgeryError("\(path): must be a dense model (model.moe: none) to be split, but has experts already")
        }
        guard model.ffnDim % experts == 0 else {
            throw SurgeryError(
                "--strata must have a number of experts that divides model.ffn_dim, \(model.ffnDim), but has \(experts)")
        }
        guard (1...experts).contains(moefication.topK) else {
            throw SurgeryError("--top-k must be 1 to the experts, \(experts), but is \(moefication.topK)")
        }
        let layers = max(model.encoderLayers, model.decoderLayers)
        guard (1...layers).contains(moefication.every) else {
            throw SurgeryError("--every must be 1 to the model's layers, \(layers), but is \(moefication.every)")
        }
    }

    private func splitLayer(
        _ name: String, _ moefication: Moefication, _ rows: [Float]
    ) throws -> (SplitLayer, MoefiedLayer) {
        let (dim, hidden) = (configuration.model.dim, configuration.model.ffnDim)
        let weight = try values("\(name).ffn.fc1.weight", [hidden, dim]), bias = try values("\(name).ffn.fc1.bias", [hidden])
        for (other, shape) in [("fc2.weight", [dim, hidden]), ("fc2.bias", [dim])] {
            try parameters.require("\(name).ffn.\(other)", shape, of: path)
        }
        let units = unitRows(weight, dim: dim), tokens = rows.count / dim
        let activations = HiddenActivations(weight: weight, bias: bias, dim: dim)
        let key = RandomKey(seed: moefication.seed).derived(name)
        let frequency = activations.frequencies(rows)
        // The rarest first; of equally frequent ones the lower.
        var order = Array(0..<hidden).sorted { (frequency[$0], $0) < (frequency[$1], $1) }
        if moefication.order == .frequentFirst { order.reverse() }
        var neurons: [Int] = [], start = 0
        for (stratum, size) in moefication.strata.enumerated() {
            let count = size * hidden / moefication.experts, own = order[start..<start + count].sorted()
            start += count
            neurons +=
                activations.partition(
                    own, experts: size, moefication.partition, units: units, rows: rows, key: key.derived(stratum)
                ).neurons
        }
        let parts = NeuronExperts(neurons: neurons, experts: moefication.experts)
        let masses = activations.masses(rows, parts)
        let centres = parts.centres(units, dim: dim)
        var gates: [RouterFit] = [], first = 0
        for (stratum, size) in moefication.strata.enumerated() {
            // A gate sees its own and all later experts.
            let visible = first..<moefication.experts
            let own = Array(centres[(first * dim)...])
            var gate = RouterFit(
                moefication.router == .mlp ? .twoLayers : .linear,
                centres: moefication.router == .similarity ? unitRows(own, dim: dim) : own, dim: dim)
            if moefication.router != .similarity {
                let seen = (0..<tokens).flatMap { token in visible.map { masses[token * moefication.experts + $0] } }
                gate.fit(rows, masses: seen, key: key.derived("gate").derived(stratum))
            }
            gates.append(gate)
            first += size
        }
        let heldFrom = tokens - tokens / 10, heldMasses = Array(masses[(heldFrom * moefication.experts)...])
        func share(_ scores: [Float]) -> Double {
            RouterFit.share(scores, masses: heldMasses, experts: moefication.experts, count: moefication.topK)
        }
        let measured = MoefiedLayer(
            name: name, share: share(gates[0].scores(Array(rows[(heldFrom * dim)...]))), bestShare: share(heldMasses))
        return (SplitLayer(parts: parts, gates: gates), measured)
    }

    /// All elements of a tensor.
    func values(_ name: String, _ shape: [Int]) throws -> [Float] {
        try parameters.require(name, shape, of: path)
        return try parameters.values(name)
    }
}

extension NamedTensors {
    /// All elements of a tensor that exists.
    func values(_ name: String) throws -> [Float] {
        let count = count(name)
        return try [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            if count > 0 { try read(name, 0..<count, into: buffer.baseAddress!) }
            initialized = count
        }
    }
}

/// relu(W1 h + b1) of the rows that a network reads, some rows at a time.
struct HiddenActivations {
    let weight: [Float]
    let bias: [Float]
    let dim: Int
    private var hidden: Int { bias.count }

    init(weight: [Float], bias: [Float], dim: Int) { (self.weight, self.bias, self.dim) = (weight, bias, dim) }

    /// Activations [T, f] of rows [T, d].
    func callAsFunction(_ rows: [Float]) -> [Float] {
        var activations = productWithTranspose(rows, weight, m: rows.count / dim, n: hidden, k: dim)
        for index in activations.indices { activations[index] = max(activations[index] + bias[index % hidden], 0) }
        return activations
    }

    private func forEachPart(_ rows: [Float], _ body: ([Float]) -> Void) {
        let part = 1024 * dim
        for start in stride(from: 0, to: rows.count, by: part) {
            body(self(Array(rows[start..<min(start + part, rows.count)])))
        }
    }

    /// φ, [f]: the share of rows that activate each unit.
    func frequencies(_ rows: [Float]) -> [Double] {
        var counts = [Int](repeating: 0, count: hidden)
        forEachPart(rows) { activations in
            for index in activations.indices where activations[index] > 0 { counts[index % hidden] += 1 }
        }
        return counts.map { Double($0) / Double(max(rows.count / dim, 1)) }
    }

    /// The positive masses of experts, [T, E].
    func masses(_ rows: [Float], _ parts: NeuronExperts) -> [Float] {
        var masses: [Float] = []
        forEachPart(rows) { masses += parts.masses($0) }
        return masses
    }

    /// Σ h_n h_m over the rows for each two of `units`, [n, n].
    func coactivations(of units: [Int], _ rows: [Float]) -> [Float] {
        var edges = [Float](repeating: 0, count: units.count * units.count)
        forEachPart(rows) { activations in
            let tokens = activations.count / hidden
            let own = (0..<tokens).flatMap { token in units.map { activations[token * hidden + $0] } }
            let sums = transposeTimes(own, own, m: units.count, n: units.count, k: tokens)
            // A mean over parts, so that sums stay small.
            for index in edges.indices { edges[index] += sums[index] / Float(tokens) }
        }
        return edges
    }

    /// `own` units in so many experts.
    func partition(
        _ own: [Int], experts: Int, _ partition: Moefication.Partition, units: [Float], rows: [Float], key: RandomKey
    ) -> NeuronExperts {
        switch partition {
        case .random:
            let order = own.map { (key.uniform($0), $0) }.sorted { $0 < $1 }.map(\.1)
            return NeuronExperts(neurons: order, experts: experts)
        case .clustering:
            let points = own.flatMap { units[$0 * dim..<($0 + 1) * dim] }
            let labels = BalancedClustering.clusters(points, dim: dim, count: experts, key: key)
            return NeuronExperts(labels: labels, of: own, experts: experts)
        case .coactivation:
            return NeuronExperts(
                labels: BalancedClustering.cut(coactivations(of: own, rows), count: experts), of: own, experts: experts)
        }
    }
}

/// How a layer's network is split, and the gates that were made for it.
private struct SplitLayer {
    let parts: NeuronExperts
    let gates: [RouterFit]
}

/// The tensors of a dense model whose layers are split.
private struct SplitTensors: NamedTensors {
    private enum Origin {
        case copy(String)
        /// Rows of a matrix, or elements of a vector, of `width` floats each.
        case rows(String, [Int], width: Int)
        /// Columns of a matrix [rows, width].
        case columns(String, [Int], width: Int)
        case made([Float])
    }

    private let whole: any NamedTensors
    private let tensors: [String: (shape: [Int], origin: Origin)]
    let names: [String]

    init(_ whole: any NamedTensors, _ layers: [String: SplitLayer], strata: [Int]) throws {
        self.whole = whole
        var tensors: [String: (shape: [Int], origin: Origin)] = [:]
        for name in whole.names {
            let layer = name.split(separator: ".").prefix(3).joined(separator: ".")
            if layers[layer] != nil, name.hasPrefix("\(layer).ffn") { continue }
            tensors[name] = (whole.shape(name)!, .copy(name))
        }
        for (layer, split) in layers {
            let weight = whole.shape("\(layer).ffn.fc1.weight")!, (hidden, dim) = (weight[0], weight[1])
            for stratum in strata.indices {
                for suffix in ["weight", "bias"] {
                    tensors["\(layer).moe.norms.\(stratum).\(suffix)"] = ([dim], .copy("\(layer).ffn_norm.\(suffix)"))
                }
                let gate = split.gates[stratum], name = "\(layer).moe.gates.\(stratum)"
                if gate.kind == .twoLayers {
                    tensors["\(name).1.weight"] = ([gate.experts, dim], .made(gate.first))
                    tensors["\(name).2.weight"] = ([gate.experts, gate.experts], .made(gate.second))
                } else {
                    tensors["\(name).weight"] = ([gate.experts, dim], .made(gate.first))
                }
            }
            tensors["\(layer).moe.output_bias"] = ([dim], .copy("\(layer).ffn.fc2.bias"))
            for expert in 0..<split.parts.experts {
                let own = Array(split.parts.neurons(of: expert)), name = "\(layer).moe.experts.\(expert)"
                tensors["\(name).fc1.weight"] = ([own.count, dim], .rows("\(layer).ffn.fc1.weight", own, width: dim))
                tensors["\(name).fc1.bias"] = ([own.count], .rows("\(layer).ffn.fc1.bias", own, width: 1))
                tensors["\(name).fc2.weight"] = ([dim, own.count], .columns("\(layer).ffn.fc2.weight", own, width: hidden))
            }
        }
        self.tensors = tensors
        names = tensors.keys.sorted()
    }

    func shape(_ name: String) -> [Int]? { tensors[name]?.shape }

    func read(_ name: String, _ elements: Range<Int>, into target: UnsafeMutablePointer<Float>) throws {
        switch tensors[name]!.origin {
        case let .copy(source):
            try whole.read(source, elements, into: target)
        case let .rows(source, rows, width):
            for (place, element) in elements.enumerated() where place == 0 || element % width == 0 {
                let row = element / width, column = element % width, end = min(elements.upperBound, (row + 1) * width)
                let start = rows[row] * width + column
                try whole.read(source, start..<start + end - element, into: target + place)
            }
        case let .columns(source, columns, width):
            var row = [Float](repeating: 0, count: width), held = -1
            for (place, element) in elements.enumerated() {
                if element / columns.count != held {
                    held = element / columns.count
                    try row.withUnsafeMutableBufferPointer {
                        try whole.read(source, held * width..<(held + 1) * width, into: $0.baseAddress!)
                    }
                }
                target[place] = row[columns[element % columns.count]]
            }
        case let .made(values):
            values.withUnsafeBufferPointer { target.update(from: $0.baseAddress! + elements.lowerBound, count: elements.count) }
        }
    }
}
