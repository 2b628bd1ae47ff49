import Autograd
import MixtureOfExperts
import TransformerModel

/// Finds the experts that so many tokens want that a copy of each on every rank costs less than to send it their rows
/// (`parallel.replicas`). A copy's rows are its rank's own; its gradients are summed over all ranks instead of over those of its
/// place. What is found is the same on every rank, for it goes by what the world chose.
struct HotExperts {
    /// An expert becomes hot where it is chosen so many times as often as the mean of its stratum, and stays so above the mean.
    static let threshold = 1.5
    /// The share of a block's experts that may be hot: it bounds the memory that copies take.
    static let mostOfBlock = 0.25

    private let layout: ParallelLayout
    private let tokenGroups: Int
    /// Bytes of a row on its way.
    private let rowBytes: Int
    /// What ranks sum of each expert, by block.
    private let parameters: [[Int]]
    /// Choices of each expert since the last decision, by block, and the updates that they are of.
    private var chosen: [[Int]]
    private var updates = 0

    init(layout: ParallelLayout, tokenGroups: Int, rowBytes: Int, parameters: [[Int]]) {
        self.layout = layout
        self.tokenGroups = tokenGroups
        self.rowBytes = rowBytes
        self.parameters = parameters
        chosen = parameters.map { [Int](repeating: 0, count: $0.count) }
    }

    /// Of a model with experts. A collective operation: no rank has all of them.
    init(of model: TranslationModel, _ groups: ParallelGroups, tokenGroups: Int) throws {
        let rowsPerToken = model.configuration.mixture?.rowsPerToken ?? 1
        var counts = model.blocks.flatMap { block in
            (0..<block.placement.experts).map { expert in
                let name = block.expertName(expert)
                return model.store.summed.reduce(Int64(0)) { $0 + ($1.slices[0].name.hasPrefix(name) ? Int64($1.count) : 0) }
            }
        }
        try groups.world.allReduce(&counts, .maximum)
        var parameters: [[Int]] = []
        for block in model.blocks {
            parameters.append(counts.prefix(block.placement.experts).map(Int.init))
            counts.removeFirst(block.placement.experts)
        }
        self.init(
            layout: groups.layout, tokenGroups: tokenGroups,
            rowBytes: model.wire.rowBytes(model.configuration.dim / rowsPerToken), parameters: parameters)
    }

    /// Takes in what the world chose in an update, by block.
    mutating func add(_ statistics: [RoutingStatistics]) {
        updates += 1
        for (block, statistics) in statistics.enumerated() {
            for gate in statistics.chosen {
                for (expert, count) in gate.enumerated() { chosen[block][expert] += count }
            }
        }
    }

    /// The experts of each block that are to have copies from now on, by the blocks' names; counting begins anew.
    mutating func decide(for blocks: [StratifiedBlock]) -> [String: [Int]] {
        var found: [String: [Int]] = [:]
        for (number, block) in blocks.enumerated() {
            let hot = Set(block.placement.copies.indices.filter { block.placement.copies[$0] == .replicated })
            let experts = experts(
                strata: block.placement.strata, chosen: chosen[number], parameters: parameters[number], hot: hot)
            if !experts.isEmpty { found[block.name] = experts }
            chosen[number] = chosen[number].map { _ in 0 }
        }
        updates = 0
        return found
    }

    /// The hot experts of a block, ascending, of which `hot` are so now.
    private func experts(strata: [Int], chosen: [Int], parameters: [Int], hot: Set<Int>) -> [Int] {
        guard updates > 0 else { return hot.sorted() }
        var found: [(expert: Int, saved: Double)] = [], first = 0
        for size in strata {
            let mean = Double(chosen[first..<first + size].reduce(0, +)) / Double(size)
            let spread = size < layout.expertParallel ? ParameterPlacement.copiedExpert : .expert
            for expert in first..<first + size {
                let wanted = Double(chosen[expert])
                let saved = bytesSaved(choices: wanted / Double(updates), parameters: parameters[expert], spread: spread)
                guard saved > 0, wanted > mean * (hot.contains(expert) ? 1 : Self.threshold) else { continue }
                found.append((expert, saved))
            }
            first += size
        }
        let most = max(1, Int(Double(chosen.count) * Self.mostOfBlock))
        return found.sorted { ($1.saved, $0.expert) < ($0.saved, $1.expert) }.prefix(most).map(\.expert).sorted()
    }

    /// Bytes that all ranks together send less in an update, if an expert with `choices` is replicated instead of `spread` so: its
    /// rows go four ways, there and back, forward and backward.
    func bytesSaved(choices: Double, parameters: Int, spread: ParameterPlacement) -> Double {
        let sharing = Double(layout.sharing(spread))
        let rows = 4 * Double(rowBytes) * choices * (sharing - 1) / sharing
        return rows - Double(parameters * MemoryLayout<Float>.stride) * (timesSummed(.replicated) - timesSummed(spread))
    }

    /// How often the gradient of one parameter is sent in an update, by all its holders together: in parts, and as a sum.
    private func timesSummed(_ placement: ParameterPlacement) -> Double {
        Double((1 + layout.gradientParts(placement, tokenGroups: tokenGroups)) * (layout.holders(placement) - 1))
    }
}
