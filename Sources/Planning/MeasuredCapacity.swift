import Foundation
import Runs
import TransformerModel

/// The requested capacity that a run measured.
public enum MeasuredCapacity {
    /// The updates that the mean is taken over: the last ones.
    static let updates = 100

    /// Strata that a token passes in a block, from the run's `metrics.jsonl`.
    ///
    /// - Throws: `RunError` if `model` is dense, if its tokens do not pass the strata that the run's do, or if the run has
    ///   no such figures; `ConfigurationError` if the run's configuration cannot be used.
    public static func mean(of run: RunFolder, for model: ModelConfiguration) throws -> Double {
        let trained = try RunConfiguration.load(file: run.configuration).model
        guard model.mixture != nil else {
            throw RunError(
                .usage, "--run is for a mixture of experts, but the configuration's model is dense: leave it out")
        }
        guard path(model) == path(trained) else {
            throw RunError(
                .usage,
                "--run must be a run of the configuration's strata, \(path(model)), but \(run.path) has "
                    + "\(path(trained)); name another, or leave --run out")
        }
        struct Line: Decodable {
            let rounds_mean: Double?
        }
        let text = FileManager.default.contents(atPath: run.metrics) ?? Data()
        let measured = text.split(separator: UInt8(ascii: "\n"))
            .compactMap { try? JSONDecoder().decode(Line.self, from: $0).rounds_mean }.filter {
                $0 > 0 && $0 <= Double(model.mixture?.strata.count ?? 0)
            }.suffix(updates)
        guard !measured.isEmpty else {
            throw RunError(
                .data,
                "\(run.metrics): must hold updates of a mixture of experts (rounds_mean), but holds none; train the run first, "
                    + "or leave --run out")
        }
        return measured.reduce(0, +) / Double(measured.count)
    }

    /// What a token may pass in a block.
    private static func path(_ model: ModelConfiguration) -> String {
        guard let mixture = model.mixture else { return "none (dense)" }
        return mixture.strata.map(String.init).joined(separator: "-") + (mixture.strataOrder == .stacked ? " stacked" : "")
    }
}
