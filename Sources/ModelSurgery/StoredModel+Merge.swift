import Checkpoints
import Foundation
import MixtureOfExperts
import TransformerModel

extension StoredModel {
    /// The model whose similar experts are merged into one, group by group of each stratum: the weighted sum of their matrices,
    /// hidden units first put in the order of the heaviest member's, and of gates' rows. `rows` are what blocks read, `usage` the
    /// first choices of each expert by global id, by block (`encoder.layers.1.moe`). `report` is told of each block.
    ///
    /// - Throws: `SurgeryError` if the model has no experts of the ordinary kind, or fewer than groups; `FileError`.
    public func merged(
        _ merging: ExpertMerging, rows: CalibrationRows, usage: [String: [Int]],
        report: (_ block: String, [MergedGroup]) -> Void = { _, _ in }
    ) throws -> StoredModel {
        guard let mixture = configuration.model.mixture else {
            throw SurgeryError("\(path): must have experts for some to be merged, but is a dense model")
        }
        guard mixture.expertWidths == nil else {
            throw SurgeryError("\(path): experts of widths of their own cannot be merged; only equal ones can")
        }
        guard mixture.pool == nil else {
            throw SurgeryError("\(path): experts that come and go while training cannot be merged: training removes them")
        }
        let decoderGroups = merging.decoderGroups ?? merging.groups
        try require(merging.groups, of: "--groups", mixture.ofEncoder)
        try require(
            decoderGroups,
            of: merging.decoderGroups == nil
                ? "--groups, which the decoder's blocks take without --decoder-groups," : "--decoder-groups",
            mixture.ofDecoder)
        var blocks: [String: [MergedExpert]] = [:]
        for block in try mergeableBlocks() {
            let isDecoder = block.hasPrefix("decoder.")
            let (groups, experts) = try merge(
                block, isDecoder ? mixture.ofDecoder : mixture.ofEncoder, to: isDecoder ? decoderGroups : merging.groups,
                merging, rows: rows, usage: usage)
            blocks[block] = experts
            report(block, groups)
        }
        var result = self
        let merged = mixture.with(encoder: merging.groups, decoder: decoderGroups)
        result.configuration.model.mixture = merged
        result.parameters = try MergedTensors(parameters, configuration.model, blocks, path: path)
        result.moments = nil
        result.history.append(
            "merged to strata \(merged.strataText) by \(merging.metric.rawValue), weights by \(merging.weights.rawValue)")
        return result
    }

    /// - Throws: `SurgeryError` unless blocks of the mixture can be merged to so many groups; `option` says how many.
    private func require(_ groups: [Int], of option: String, _ mixture: MixtureConfiguration) throws {
        guard groups.count == mixture.strata.count, zip(groups, mixture.strata).allSatisfy({ (1...$1).contains($0) }) else {
            throw SurgeryError(
                "\(option) must have a number from 1 to the experts for each of the strata \(mixture.strata), but is \(groups)")
        }
        let needed = mixture.rule.readsTopK ? mixture.topK : 1
        guard groups.reduce(0, +) >= needed else {
            throw SurgeryError(
                "\(option) must leave at least \(needed) experts, for model.moe.top_k is \(needed), but is \(groups)")
        }
    }

    /// The names that the blocks' parameters begin with, such as `encoder.layers.1.moe`.
    private func mergeableBlocks() throws -> [String] {
        var blocks: Set<String> = []
        for name in parameters.names {
            guard let range = name.range(of: ".moe.experts.") else { continue }
            let rest = name[range.upperBound...].split(separator: ".").dropFirst().joined(separator: ".")
            guard ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"].contains(rest) else {
                throw SurgeryError("\(path): experts with \(name) cannot be merged; only feed-forward networks can")
            }
            blocks.insert(String(name[..<range.lowerBound]) + ".moe")
        }
        return blocks.sorted()
    }

    private func merge(
        _ block: String, _ mixture: MixtureConfiguration, to groupCounts: [Int], _ merging: ExpertMerging,
        rows: CalibrationRows, usage: [String: [Int]]
    ) throws -> ([MergedGroup], [MergedExpert]) {
        let calibration = rows.rows[String(block.dropLast(4))] ?? [], used = usage[block] ?? []
        guard merging.metric == .parameters || calibration.count >= 2 * rows.dim else {
            throw SurgeryError("\(path): to compare the experts of \(block) text is needed, but there is none")
        }
        guard merging.weights == .uniform || used.count == mixture.experts else {
            throw SurgeryError(
                "\(path): the analysis must have \(block), but has not: is it of another model? Run strata analyze on this one")
        }
        var groups: [MergedGroup] = [], experts: [MergedExpert] = [], first = 0
        for (stratum, size) in mixture.strata.enumerated() {
            let networks = try (first..<first + size).map { try FeedForwardValues("\(block).experts.\($0)", of: self) }
            let similarity =
                merging.metric == .cka
                ? ExpertSimilarity.alignments(networks.map { $0.outputs(calibration) }, dim: rows.dim)
                : ExpertSimilarity.cosines(networks.map { $0.weight1 + $0.weight2 })
            for members in ExpertSimilarity.groups(similarity, count: groupCounts[stratum]) {
                let counts = members.map { merging.weights == .uniform ? 0 : used[first + $0] }, sum = counts.reduce(0, +)
                let weights = counts.map { sum > 0 ? Double($0) / Double(sum) : 1 / Double(members.count) }
                // Of equal weights the lowest id.
                let heaviest = weights.indices.max { (weights[$0], $1) < (weights[$1], $0) }!
                let reference = networks[members[heaviest]]
                let units = members.map { networks[$0].units(closestTo: reference) }
                let ids = members.map { first + $0 }
                groups.append(
                    MergedGroup(
                        members: ids, weights: weights, similarity: ExpertSimilarity.mean(similarity, among: members)))
                experts.append(MergedExpert(members: ids, weights: weights.map { Float($0) }, units: units))
            }
            first += size
        }
        return (groups, experts)
    }
}

/// The four tensors of an expert.
struct FeedForwardValues {
    let weight1: [Float]
    let bias1: [Float]
    let weight2: [Float]
    let bias2: [Float]
    var hidden: Int { bias1.count }
    var dim: Int { bias2.count }

    init(weight1: [Float], bias1: [Float], weight2: [Float], bias2: [Float]) {
        (self.weight1, self.bias1, self.weight2, self.bias2) = (weight1, bias1, weight2, bias2)
    }

    /// - Throws: `SurgeryError` where a tensor is absent or has another shape.
    init(_ name: String, of model: StoredModel) throws {
        let (dim, hidden) = (model.configuration.model.dim, model.configuration.model.ffnDim)
        weight1 = try model.values("\(name).fc1.weight", [hidden, dim])
        bias1 = try model.values("\(name).fc1.bias", [hidden])
        weight2 = try model.values("\(name).fc2.weight", [dim, hidden])
        bias2 = try model.values("\(name).fc2.bias", [dim])
    }

    /// What the network makes of rows [T, d].
    func outputs(_ rows: [Float]) -> [Float] {
        var outputs: [Float] = []
        let part = 1024 * dim, activations = HiddenActivations(weight: weight1, bias: bias1, dim: dim)
        for start in stride(from: 0, to: rows.count, by: part) {
            let hiddenRows = activations(Array(rows[start..<min(start + part, rows.count)]))
            let made = productWithTranspose(hiddenRows, weight2, m: hiddenRows.count / hidden, n: dim, k: hidden)
            outputs += made.indices.map { made[$0] + bias2[$0 % dim] }
        }
        return outputs
    }

    /// The unit of this network that is to stand in the place of each of the reference's: the assignment with the least sum of squared
    /// distances of [w1, b1, w2].
    func units(closestTo reference: FeedForwardValues) -> [Int] {
        let (own, other) = (described, reference.described), width = 2 * dim + 1
        if own == other { return Array(0..<hidden) }
        let inner = productWithTranspose(other, own, m: hidden, n: hidden, k: width)
        func squares(_ rows: [Float]) -> [Float] {
            (0..<hidden).map { row in rows[row * width..<(row + 1) * width].reduce(0) { $0 + $1 * $1 } }
        }
        let (ownSquares, otherSquares) = (squares(own), squares(other))
        let costs = inner.indices.map { otherSquares[$0 / hidden] + ownSquares[$0 % hidden] - 2 * inner[$0] }
        return leastAssignment(costs, count: hidden)
    }

    /// [w1, b1, w2] of each unit.
    private var described: [Float] {
        var rows: [Float] = []
        for unit in 0..<hidden {
            rows += weight1[unit * dim..<(unit + 1) * dim]
            rows.append(bias1[unit])
            for column in 0..<dim { rows.append(weight2[column * hidden + unit]) }
        }
        return rows
    }
}

/// An expert that is made of several.
private struct MergedExpert {
    let members: [Int]
    let weights: [Float]
    /// The units of each member in the order of the merged expert's.
    let units: [[Int]]
}

/// The tensors of a mixture whose experts are merged.
private struct MergedTensors: NamedTensors {
    private enum Origin {
        case copy
        /// Σ weight · rows of the sources, each in an order of its own, of `width` floats.
        case rows([(source: String, weight: Float, rows: [Int])], width: Int)
        /// The same of columns of matrices that are `width` wide.
        case columns([(source: String, weight: Float, columns: [Int])], width: Int)
        /// Rows that are weighted sums of a tensor's.
        case rowSums(String, [[(row: Int, weight: Float)]], width: Int)
    }

    private let whole: any NamedTensors
    private let tensors: [String: (shape: [Int], origin: Origin)]
    let names: [String]

    init(
        _ whole: any NamedTensors, _ model: ModelConfiguration, _ blocks: [String: [MergedExpert]], path: String
    ) throws {
        self.whole = whole
        var tensors: [String: (shape: [Int], origin: Origin)] = [:]
        for name in whole.names where !name.contains(".moe.experts.") {
            let shape = whole.shape(name)!
            guard let range = name.range(of: ".moe.gates."), let merged = blocks[String(name[..<range.lowerBound]) + ".moe"],
                let gate = Int(name[range.upperBound...].prefix { $0 != "." }), let mixture = model.mixture(ofBlock: name)
            else {
                tensors[name] = (shape, .copy)
                continue
            }
            let visible = mixture.visibleExperts(atStratum: gate),
                kind = name[range.upperBound...].drop { $0 != "." }.dropFirst()
            guard ["weight", "selection_bias"].contains(kind), shape.first == visible.count else {
                throw SurgeryError("\(path): \(name) cannot be merged: only gates of one matrix can")
            }
            let seen = merged.filter { visible.contains($0.members[0]) }
            tensors[name] = (
                [seen.count] + shape.dropFirst(),
                .rowSums(
                    name, seen.map { zip($0.members, $0.weights).map { (row: $0 - visible.lowerBound, weight: $1) } },
                    width: shape.dropFirst().reduce(1, *))
            )
        }
        for (block, merged) in blocks {
            for (number, expert) in merged.enumerated() {
                let hidden = expert.units[0].count
                func add(_ tensor: String, _ origin: ([(String, Float, [Int])]) -> Origin) {
                    let sources = expert.members.indices.map { index in
                        ("\(block).experts.\(expert.members[index]).\(tensor)", expert.weights[index], expert.units[index])
                    }
                    tensors["\(block).experts.\(number).\(tensor)"] = (whole.shape(sources[0].0)!, origin(sources))
                }
                let dim = whole.shape("\(block).experts.\(expert.members[0]).fc2.bias")![0]
                add("fc1.weight") { .rows($0.map { ($0.0, $0.1, $0.2) }, width: dim) }
                add("fc1.bias") { .rows($0.map { ($0.0, $0.1, $0.2) }, width: 1) }
                add("fc2.weight") { .columns($0.map { ($0.0, $0.1, $0.2) }, width: hidden) }
                add("fc2.bias") { .rows($0.map { ($0.0, $0.1, Array(0..<dim)) }, width: 1) }
            }
        }
        self.tensors = tensors
        names = tensors.keys.sorted()
    }

    func shape(_ name: String) -> [Int]? { tensors[name]?.shape }

    func read(_ name: String, _ elements: Range<Int>, into target: UnsafeMutablePointer<Float>) throws {
        switch tensors[name]!.origin {
        case .copy:
            try whole.read(name, elements, into: target)
        case let .rows(sources, width):
            try sum(sources.map { ($0.source, $0.weight) }, elements, into: target) { values, source, element in
                values[sources[source].rows[element / width] * width + element % width]
            }
        case let .columns(sources, width):
            try sum(sources.map { ($0.source, $0.weight) }, elements, into: target) { values, source, element in
                values[element / width * width + sources[source].columns[element % width]]
            }
        case let .rowSums(source, rows, width):
            let values = try whole.values(source)
            for (place, element) in elements.enumerated() {
                target[place] = Self.sum(rows[element / width].map { ($0.weight, values[$0.row * width + element % width]) })
            }
        }
    }

    /// Σ weight · the element that `pick` finds in each source: whole tensors are read, one after another. A single one stays to
    /// the bit.
    private func sum(
        _ sources: [(name: String, weight: Float)], _ elements: Range<Int>, into target: UnsafeMutablePointer<Float>,
        _ pick: (_ values: [Float], _ source: Int, _ element: Int) -> Float
    ) throws {
        for (number, source) in sources.enumerated() {
            let values = try whole.values(source.name)
            for (place, element) in elements.enumerated() {
                let part = source.weight * pick(values, number, element)
                target[place] = number == 0 ? part : target[place] + part
            }
        }
    }

    private static func sum(_ parts: [(weight: Float, value: Float)]) -> Float {
        parts.dropFirst().reduce(parts[0].weight * parts[0].value) { $0 + $1.weight * $1.value }
    }
}
