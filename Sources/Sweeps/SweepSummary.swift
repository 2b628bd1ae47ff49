import Evaluation
import Files
import Foundation
import Planning
import Reporting

/// What the runs of a sweep came to, over their seeds: for people, tables and programs.
public struct SweepSummary: Encodable {
    /// A figure over seeds.
    struct Spread: Encodable, Equatable {
        let mean: Double
        /// The sample standard deviation; nil of one seed.
        let deviation: Double?

        /// nil without values.
        init?(_ values: [Double]) {
            guard !values.isEmpty else { return nil }
            let mean = values.reduce(0, +) / Double(values.count)
            self.mean = mean
            deviation =
                values.count > 1
                ? (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1)).squareRoot() : nil
        }

        func text(_ places: Int) -> String {
            NumberText.decimal(mean, places) + (deviation.map { " ± " + NumberText.decimal($0, places) } ?? "")
        }
    }

    struct Run: Encodable {
        let name: String
        /// The seeds' runs, and how many of them are done: figures are over those.
        let seeds: Int
        let done: Int
        /// Updates of each that is done.
        let updates: [Int]
        let parameters: Int
        /// Operations of a token's way forward through the model, under uniform routing.
        let flopsPerToken: Double
        let bleu: Spread?
        let chrf: Spread?
        /// Percent.
        let exact: Spread?
        /// The perplexity of the valid split, after the last update.
        let validPerplexity: Spread?
        let encoderRequestedCapacity: Spread?
        let decoderRequestedCapacity: Spread?
        /// BLEU by direction.
        let directions: [String: Spread]

        enum CodingKeys: String, CodingKey {
            case name, seeds, done, updates, parameters, flopsPerToken, bleu, chrf, exact, validPerplexity, directions
            case encoderRequestedCapacity = "roundsEncoder"
            case decoderRequestedCapacity = "roundsDecoder"
        }
    }

    let name: String
    let runs: [Run]

    public init(_ specification: SweepSpecification, jobs: [SweepJob], outcomes: [SweepRunner.Outcome]) throws {
        name = specification.name
        runs = try specification.runs.map { run in
            let seeds = zip(jobs, outcomes).filter { $0.0.run == run.name }
            let done = seeds.filter { $0.1 == .done }.map(\.0)
            let evaluations = done.compactMap { SweepRecord(of: $0).evaluation }
            func spread(_ value: (EvaluationResult) -> Double?) -> Spread? { Spread(evaluations.compactMap(value)) }
            // As `strata plan` counts; seeds change nothing.
            let configuration = seeds[0].0.configuration
            let plan = try ModelPlan(configuration.model, vocabulary: configuration.data.vocabulary)
            let names = Set(evaluations.flatMap(\.directions.keys))
            return Run(
                name: run.name, seeds: seeds.count, done: done.count, updates: done.map(\.updates),
                parameters: plan.parameters, flopsPerToken: plan.flopsPerToken, bleu: spread { $0.average.bleu },
                chrf: spread { $0.average.chrf }, exact: spread { $0.average.exact },
                validPerplexity: Spread(done.compactMap { $0.latestValidation?.validPerplexity }),
                encoderRequestedCapacity: spread { $0.average.encoderRequestedCapacity },
                decoderRequestedCapacity: spread { $0.average.decoderRequestedCapacity },
                directions: Dictionary(
                    uniqueKeysWithValues: names.compactMap { name in
                        spread { $0.directions[name]?.bleu }.map { (name, $0) }
                    }))
        }
    }

    private var directions: [String] { Set(runs.flatMap(\.directions.keys)).sorted() }

    /// A row a run; a second table has BLEU by direction, a column a run.
    private var tables: [Table] {
        func cell(_ spread: Spread?, _ places: Int) -> String { spread?.text(places) ?? "-" }
        let figures = Table(
            header: [
                "run", "seeds", "BLEU", "chrF2", "exact %", "valid perplexity", "parameters", "MFLOPs/token", "RC encoder",
                "RC decoder", "updates",
            ],
            rows: runs.map { run in
                [
                    run.name, run.done == run.seeds ? "\(run.seeds)" : "\(run.done) of \(run.seeds)", cell(run.bleu, 2),
                    cell(run.chrf, 2), cell(run.exact, 1), cell(run.validPerplexity, 2), NumberText.count(run.parameters),
                    NumberText.decimal(run.flopsPerToken / 1e6, 1), cell(run.encoderRequestedCapacity, 2),
                    cell(run.decoderRequestedCapacity, 2), Set(run.updates).sorted().map(String.init).joined(separator: ", "),
                ]
            })
        let byDirection = Table(
            header: ["BLEU"] + runs.map(\.name),
            rows: directions.map { direction in [direction] + runs.map { cell($0.directions[direction], 2) } })
        return directions.isEmpty ? [figures] : [figures, byDirection]
    }

    public var text: String { tables.map(\.text).joined(separator: "\n") }
    public var markdown: String { "# \(name)\n\n" + tables.map(\.markdown).joined(separator: "\n") }

    public func json() throws -> String {
        try JSONText.pretty(self, keys: .convertToSnakeCase)
    }

    /// A line a run; of what is not known, nothing between the commas.
    public var csv: String {
        func cells(_ spread: Spread?) -> [String] {
            [spread.map { "\($0.mean)" } ?? "", spread?.deviation.map { "\($0)" } ?? ""]
        }
        let measures =
            ["bleu", "chrf", "exact", "valid_perplexity", "rounds_encoder", "rounds_decoder"]
            + directions.map { "bleu_\($0)" }
        let header =
            ["run", "seeds", "done", "parameters", "flops_per_token", "updates"]
            + measures.flatMap { [$0, "\($0)_deviation"] }
        let rows = runs.map { run -> [String] in
            let spreads =
                [
                    run.bleu, run.chrf, run.exact, run.validPerplexity, run.encoderRequestedCapacity,
                    run.decoderRequestedCapacity,
                ]
                + directions.map { run.directions[$0] }
            return [
                run.name, "\(run.seeds)", "\(run.done)", "\(run.parameters)", "\(run.flopsPerToken)",
                run.updates.max().map(String.init) ?? "",
            ] + spreads.flatMap(cells)
        }
        return ([header] + rows).map { $0.joined(separator: ",") + "\n" }.joined()
    }
}
