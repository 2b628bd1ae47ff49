import Files
import Foundation
import Reporting

/// What a configuration asks for, for people and for programs.
public struct PlanReport {
    let model: ModelPlan
    let rank: RankPlan
    /// Whether the requested capacity was measured in a run.
    let isMeasured: Bool
    /// nil where nobody asks.
    let time: StepTimeReport?

    public init(model: ModelPlan, rank: RankPlan, isMeasured: Bool, time: StepTimeReport? = nil) {
        self.model = model
        self.rank = rank
        self.isMeasured = isMeasured
        self.time = time
    }

    private struct Document: Encodable {
        let parameters: Int
        let initialParameters: Int?
        /// nil: all.
        let trainedParameters: Int?
        let activeParameters: Int
        let flopsPerToken: Double
        /// Requested capacity, by the names that the format has for it.
        let expectedRounds: Double?
        let measuredRounds: Double?
        let expertsPerToken: Double?
        let wholeRowMixture: WholeRowMixture?
        let ranks: Int
        let expertParallel: Int
        let replicas: Int
        let memoryPerRank: RankPlan.Memory
        let memoryPerRankTotal: Int
        let allToAllBytesPerUpdate: Int
        let gradientBytesPerUpdate: Int
        /// Experts by stratum, then by place; of the encoder's blocks alone where the decoder's have others.
        let placement: [[[Int]]]
        let decoderPlacement: [[[Int]]]?
        let predicted: StepTimeReport.Document?
    }

    public func json() throws -> String {
        let document = Document(
            parameters: model.parameters, initialParameters: model.initialParameters, trainedParameters: trainedParameters,
            activeParameters: model.activeParameters,
            flopsPerToken: model.flopsPerToken,
            expectedRounds: model.expectedCapacity, measuredRounds: isMeasured ? model.requestedCapacity : nil,
            expertsPerToken: model.expertsPerToken,
            wholeRowMixture: WholeRowMixture(model),
            ranks: rank.layout.ranks, expertParallel: rank.layout.expertParallel, replicas: rank.layout.replicas,
            memoryPerRank: rank.memory, memoryPerRankTotal: rank.memory.total,
            allToAllBytesPerUpdate: rank.allToAllBytesPerUpdate, gradientBytesPerUpdate: rank.gradientBytesPerUpdate,
            placement: placements.first ?? [], decoderPlacement: placements.count > 1 ? placements[1] : nil,
            predicted: time?.document)
        return try JSONText.pretty(document, keys: .convertToSnakeCase)
    }

    private var trainedParameters: Int? {
        model.trainedParameters == model.parameters ? nil : model.trainedParameters
    }

    /// Experts by kind of block, by stratum, then by place.
    private var placements: [[[[Int]]]] {
        zip(model.kinds, rank.placements).map { kind, placement in
            let stratumOfExpert = kind.mixture.stratumOfExpert
            return kind.mixture.strata.indices.map { stratum in
                placement.expertsOfPlace.map { $0.filter { stratumOfExpert[$0] == stratum } }
            }
        }
    }

    public var text: String {
        var facts = [
            ["parameters", NumberText.count(model.parameters)],
            ["active parameters", NumberText.count(model.activeParameters)],
            ["forward FLOPs a token", Self.millions(model.flopsPerToken)],
        ]
        if let initial = model.initialParameters { facts.insert(["parameters at first", NumberText.count(initial)], at: 1) }
        if let trainedParameters { facts.insert(["parameters that are trained", NumberText.count(trainedParameters)], at: 1) }
        if let capacity = model.requestedCapacity, let experts = model.expertsPerToken {
            facts.append(["\(isMeasured ? "measured" : "expected") requested capacity", NumberText.decimal(capacity, 3)])
            facts.append(["experts a token and block", NumberText.decimal(experts, 3)])
        }
        if let whole = WholeRowMixture(model) {
            facts.append(["the same of whole rows: ffn_dim", NumberText.decimal(whole.ffnDim, 0)])
            facts.append(["the same of whole rows: experts", NumberText.decimal(whole.experts, 2)])
        }
        let memory =
            [
                ("parameters", rank.memory.parameters), ("gradients", rank.memory.gradients),
                ("optimizer state", rank.memory.optimizerState), ("activations, estimated", rank.memory.activations),
                ("checkpoint's copy", rank.memory.snapshot),
            ] + (rank.memory.remaking.map { [("in place of activations, while experts change", $0)] } ?? []) + [
                ("together", rank.memory.total)
            ]
        let traffic = [
            ("all-to-all an update", rank.allToAllBytesPerUpdate), ("gradients an update", rank.gradientBytesPerUpdate),
        ]
        let layout = rank.layout
        return Table(header: ["model", ""], rows: facts).text
            + "\n\(layout.ranks) rank(s) = \(layout.expertParallel) expert-parallel × \(layout.replicas) replica(s)\n\n"
            + Table(header: ["memory per rank", "MiB"], rows: memory.map { [$0.0, NumberText.mebibytes($0.1)] }).text + "\n"
            + Table(header: ["sent by a rank", "MiB"], rows: traffic.map { [$0.0, NumberText.mebibytes($0.1)] }).text
            + placementText + (time.map { "\n" + $0.text } ?? "")
    }

    /// Places as columns: the ranks of each, then its experts of every stratum.
    private var placementText: String {
        let layout = rank.layout
        func ranks(_ place: Int) -> String {
            let first = (0..<min(layout.replicas, 3)).map { "\(place + $0 * layout.expertParallel)" }
            return first.joined(separator: ", ") + (layout.replicas > 3 ? ", …" : "")
        }
        return placements.enumerated().map { kind, strata in
            let title = placements.count > 1 ? ["encoder", "decoder"][kind] : "experts"
            let rows =
                [["ranks"] + (0..<layout.expertParallel).map(ranks)]
                + strata.enumerated().map { stratum, places in ["stratum \(stratum)"] + places.map(Self.span) }
            return "\n" + Table(header: [title] + (0..<layout.expertParallel).map { "place \($0)" }, rows: rows).text
        }.joined()
    }

    /// Experts of a place and stratum, a span of them where they stand one after another.
    private static func span(_ experts: [Int]) -> String {
        experts.count > 2 && experts[experts.count - 1] - experts[0] == experts.count - 1
            ? "\(experts[0])-\(experts[experts.count - 1])" : experts.map(String.init).joined(separator: " ")
    }

    private static func millions(_ value: Double) -> String { NumberText.decimal(value / 1e6, 1) + " M" }
}
