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
    /// Choices of each expert since the last decision, and the rows that it got of them, for what exceeds a capacity is not sent; by
    /// block, and the updates that they are of.
    private var chosen: [[Int]]
    private var sent: [[Int]]
    private var updates = 0

    init(layout: ParallelLayout, tokenGroups: Int, rowBytes: Int, parameters: [[Int]]) {
        self.layout = layout
        self.tokenGroups = tokenGroups
        self.rowBytes = rowBytes
        self.parameters = parameters
        chosen = parameters.map { [Int](repeating: 0, count: $0.count) }
        sent = chosen
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
            for expert in chosen[block].indices {
                chosen[block][expert] += statistics.chosen.reduce(0) { $0 + $1[expert] }
                sent[block][expert] += statistics.load.reduce(0) { $0 + $1[expert] }
            }
        }
    }

    /// The experts of each block that are to have copies from now on, by the blocks' names; counting begins anew.
    mutating func decide(for blocks: [StratifiedBlock]) -> [String: [Int]] {
        var found: [String: [Int]] = [:]
        for (number, block) in blocks.enumerated() {
            let experts = experts(
                strata: block.placement.strata, chosen: chosen[number], sent: sent[number], parameters: parameters[number],
                hot: Set(block.placement.replicated))
            if !experts.isEmpty { found[block.name] = experts }
        }
        self = HotExperts(layout: layout, tokenGroups: tokenGroups, rowBytes: rowBytes, parameters: parameters)
        return found
    }

    /// The hot experts of a block, ascending, of which `hot` are so now: where there are too many these go first, so that two alike do
    /// not take turns.
    private func experts(strata: [Int], chosen: [Int], sent: [Int], parameters: [Int], hot: Set<Int>) -> [Int] {
        guard updates > 0 else { return hot.sorted() }
        var found: [(expert: Int, saved: Double)] = [], first = 0
        for size in strata {
            let mean = Double(chosen[first..<first + size].reduce(0, +)) / Double(size)
            let spread = size < layout.expertParallel ? ParameterPlacement.copiedExpert : .expert
            for expert in first..<first + size {
                let wanted = Double(chosen[expert])
                let saved = bytesSaved(
                    rows: Double(sent[expert]) / Double(updates), parameters: parameters[expert], spread: spread)
                guard saved > 0, wanted > mean * (hot.contains(expert) ? 1 : Self.threshold) else { continue }
                found.append((expert, saved))
            }
            first += size
        }
        let most = max(1, Int(Double(chosen.count) * Self.mostOfBlock))
        func isBefore(_ a: (expert: Int, saved: Double), _ b: (expert: Int, saved: Double)) -> Bool {
            let (isHot, otherIsHot) = (hot.contains(a.expert), hot.contains(b.expert))
            return isHot != otherIsHot ? isHot : (b.saved, a.expert) < (a.saved, b.expert)
        }
        return found.sorted(by: isBefore).prefix(most).map(\.expert).sorted()
    }

    /// Bytes that all ranks together send less in an update, if an expert of so many rows is replicated instead of `spread` so: its rows
    /// go four ways, there and back, forward and backward. Each is counted as if it travelled for this expert alone.
    func bytesSaved(rows: Double, parameters: Int, spread: ParameterPlacement) -> Double {
        let sharing = Double(layout.sharing(spread))
        return 4 * Double(rowBytes) * rows * (sharing - 1) / sharing
            - Double(parameters * MemoryLayout<Float>.stride) * (timesSummed(.replicated) - timesSummed(spread))
    }

    /// How often the gradient of one parameter is sent in an update, by all its holders together: in parts, and as a sum.
    private func timesSummed(_ placement: ParameterPlacement) -> Double {
        Double((1 + layout.gradientParts(placement, tokenGroups: tokenGroups)) * (layout.holders(placement) - 1))
    }
}
