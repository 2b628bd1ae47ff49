import Checkpoints
import MixtureOfExperts
import TransformerModel

extension StoredModel {
    /// The model without the experts that are not kept; gates lose their rows, and the softmax is over the rest. `kept` are global
    /// ids by block, by the names that its parameters begin with (`encoder.layers.1.moe`); of every stratum as many in each block of a
    /// side. Experts that are kept are numbered anew in their order. Moments, if there are some, stay with what they are of.
    ///
    /// - Throws: `SurgeryError` if the model has no such experts.
    public func pruned(keeping kept: [String: [Int]], as text: String) throws -> StoredModel {
        guard let mixture = configuration.model.mixture else {
            throw SurgeryError("\(path): must have experts for some to be pruned, but is a dense model")
        }
        guard mixture.expertWidths == nil else {
            throw SurgeryError("\(path): experts of widths of their own cannot be pruned; only equal ones can")
        }
        guard mixture.pool == nil else {
            throw SurgeryError("\(path): experts that come and go while training cannot be pruned: training removes them")
        }
        let sides = Dictionary(grouping: kept.keys) { $0.hasPrefix("decoder.") }
        let encoder = try sides[false].map { try sizes($0.map { kept[$0]! }, of: mixture.ofEncoder) }
        let decoder = try sides[true].map { try sizes($0.map { kept[$0]! }, of: mixture.ofDecoder) }
        var result = self
        result.configuration.model.mixture = mixture.with(
            encoder: encoder ?? decoder ?? [], decoder: decoder ?? encoder ?? [])
        let pruned = try PrunedTensors(parameters, configuration.model, kept: kept, path: path)
        guard pruned.blocks == Set(kept.keys) else {
            throw SurgeryError(
                "\(path): has the blocks \(pruned.blocks.sorted()), but experts of \(kept.keys.sorted()) are to be kept: is the "
                    + "analysis of another model? Run strata analyze on this one")
        }
        result.parameters = pruned
        result.moments = try moments?.map { try PrunedTensors($0, configuration.model, kept: kept, path: path) }
        result.history.append(text)
        return result
    }

    /// How many experts of each stratum stay in the blocks of a side.
    private func sizes(_ kept: [[Int]], of mixture: MixtureConfiguration) throws -> [Int] {
        let strata = mixture.stratumOfExpert
        let sizes = Set(
            kept.map { experts in mixture.strata.indices.map { stratum in experts.count { strata[$0] == stratum } } })
        guard sizes.count == 1, let size = sizes.first, size.allSatisfy({ $0 > 0 }) else {
            throw SurgeryError("\(path): of every stratum at least one expert must be kept, as many in each block of a side")
        }
        let needed = mixture.rule.readsTopK ? mixture.topK : 1
        guard size.reduce(0, +) >= needed else {
            throw SurgeryError(
                "\(path): at least \(needed) experts must be kept, for model.moe.top_k is \(needed), but "
                    + "\(size.reduce(0, +)) would be; keep more")
        }
        return size
    }
}

/// The tensors of a mixture, some experts left out.
private struct PrunedTensors: NamedTensors {
    private struct Entry {
        let source: String
        let shape: [Int]
        /// Of a gate's tensor the rows that stay; nil: all of it.
        var rows: [Int]?
    }

    private let whole: any NamedTensors
    private let entries: [String: Entry]
    /// What the names of the blocks' tensors begin with.
    let blocks: Set<String>
    let names: [String]

    init(_ whole: any NamedTensors, _ model: ModelConfiguration, kept: [String: [Int]], path: String) throws {
        self.whole = whole
        var entries: [String: Entry] = [:], blocks: Set<String> = []
        for name in whole.names {
            let parts = name.split(separator: ".").map(String.init), shape = whole.shape(name)!
            guard let place = parts.firstIndex(of: "moe"), place + 2 < parts.count else {
                entries[name] = Entry(source: name, shape: shape)
                continue
            }
            let block = parts[...place].joined(separator: ".")
            guard let experts = kept[block], let mixture = model.mixture(ofBlock: block) else {
                throw SurgeryError(
                    "\(path): which experts stay must be known of \(block), but is not: is the analysis, or the list, of another model?"
                )
            }
            blocks.insert(block)
            let rest = parts[(place + 3)...].joined(separator: ".")
            switch (parts[place + 1], Int(parts[place + 2])) {
            case let ("experts", expert?):
                guard let number = experts.firstIndex(of: expert) else { continue }
                entries["\(block).experts.\(number).\(rest)"] = Entry(source: name, shape: shape)
            case let ("gates", gate?):
                let visible = mixture.visibleExperts(atStratum: gate),
                    rows = experts.filter(visible.contains).map { $0 - visible.lowerBound }
                guard shape.first == visible.count else {
                    throw SurgeryError(
                        "\(path): \(name) must have a row for each of \(visible.count) experts, but has shape \(shape)")
                }
                entries[name] = Entry(source: name, shape: [rows.count] + shape.dropFirst(), rows: rows)
            default:
                entries[name] = Entry(source: name, shape: shape)
            }
        }
        (self.entries, self.blocks) = (entries, blocks)
        names = entries.keys.sorted()
    }

    func shape(_ name: String) -> [Int]? { entries[name]?.shape }

    func read(_ name: String, _ elements: Range<Int>, into target: UnsafeMutablePointer<Float>) throws {
        let entry = entries[name]!
        guard let rows = entry.rows else { return try whole.read(entry.source, elements, into: target) }
        let width = entry.shape.dropFirst().reduce(1, *)
        var element = elements.lowerBound
        while element < elements.upperBound {
            let row = element / width, end = min(elements.upperBound, (row + 1) * width), column = element - row * width
            let start = rows[row] * width + column
            try whole.read(entry.source, start..<start + end - element, into: target + element - elements.lowerBound)
            element = end
        }
    }
}
