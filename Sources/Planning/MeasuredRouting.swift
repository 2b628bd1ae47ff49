import Foundation
import Runs
import TransformerModel

/// Where a run's tokens went: means over its last updates, from `metrics.jsonl`.
public struct MeasuredRouting {
    /// Strata that a token passes in a block.
    public let requestedCapacity: Double
    /// How the rows of each stratum's gates were spread over the experts; even in a run of a version that did not write it.
    public let skew: ExpertSkew

    /// The updates that the means are taken over.
    static let updates = 100

    /// - Throws: `RunError` if `model` is dense, if its tokens do not pass the strata that the run's do, or if the run has
    ///   no such figures; `ConfigurationError` if the run's configuration cannot be used.
    public init(of run: RunFolder, for model: ModelConfiguration) throws {
        let trained = try RunConfiguration.load(file: run.configuration).model
        guard model.mixture != nil else {
            throw RunError(
                .usage, "--run is for a mixture of experts, but the configuration's model is dense: leave it out")
        }
        guard Self.path(model) == Self.path(trained) else {
            throw RunError(
                .usage,
                "--run must be a run of the configuration's strata, \(Self.path(model)), but \(run.path) has "
                    + "\(Self.path(trained)); name another, or leave --run out")
        }
        struct Line: Decodable {
            let rounds_mean: Double
            let load: [[Double]]?
        }
        let text = FileManager.default.contents(atPath: run.metrics) ?? Data()
        let measured = text.split(separator: UInt8(ascii: "\n"))
            .compactMap { try? JSONDecoder().decode(Line.self, from: $0) }.filter {
                $0.rounds_mean > 0 && $0.rounds_mean <= Double(model.mixture?.strata.count ?? 0)
            }.suffix(Self.updates)
        guard !measured.isEmpty else {
            throw RunError(
                .data,
                "\(run.metrics): must hold updates of a mixture of experts (rounds_mean), but holds none; train the run first, "
                    + "or leave --run out")
        }
        requestedCapacity = measured.reduce(0) { $0 + $1.rounds_mean } / Double(measured.count)
        let loads = measured.compactMap(\.load)
        skew =
            loads.isEmpty
            ? .uniform : .measured(loads.dropFirst().reduce(loads[0]) { zip($0, $1).map { zip($0, $1).map { $0 + $1 } } })
    }

    /// What a token may pass in a block.
    private static func path(_ model: ModelConfiguration) -> String {
        guard let mixture = model.mixture else { return "none (dense)" }
        return mixture.strataText + (mixture.strataOrder == .stacked ? " stacked" : "")
    }
}
