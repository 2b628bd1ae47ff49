import Foundation

/// The requested capacity that a run measured.
enum MeasuredRounds {
    /// The updates that the mean is taken over: the last ones.
    static let updates = 100

    /// Strata that a token passes in a block, from the run's `metrics.jsonl`.
    ///
    /// - Throws: `CommandFailure` if there is no run, or none that has such figures.
    static func mean(of run: RunFolder) throws -> Double {
        struct Line: Decodable {
            let rounds_mean: Double?
        }
        let text = FileManager.default.contents(atPath: run.metrics) ?? Data()
        let measured = text.split(separator: UInt8(ascii: "\n"))
            .compactMap { try? JSONDecoder().decode(Line.self, from: $0).rounds_mean }.filter { $0 > 0 }.suffix(updates)
        guard !measured.isEmpty else {
            throw CommandFailure(
                .data, "\(run.metrics): must hold updates of a mixture of experts (rounds_mean), but holds none; train the run first, "
                    + "or leave --run out")
        }
        return measured.reduce(0, +) / Double(measured.count)
    }
}
