import ConfigurationForms
import DataPipeline
import Foundation
import Runs

/// A comparison of runs, as its YAML file says it.
public struct SweepSpecification: Equatable {
    /// One configuration, trained once with each seed.
    struct Run: Equatable {
        var name = ""
        /// The configuration in place of `base`; relative to the specification.
        var config: String?
        /// Overrides of the configuration, `path.to.key=value`.
        var set: [String] = []
        /// Seeds in place of the sweep's.
        var seeds: [UInt64] = []
    }

    /// How the trained models are scored.
    struct Scoring: Equatable {
        var split = Split.test
        var beam = 5
        /// Only the first sentences of each direction; nil: all.
        var limit: Int?

        /// Arguments of `strata evaluate`, for any checkpoint.
        var arguments: [String] {
            ["--split", split.rawValue, "--beam", "\(beam)"] + (limit.map { ["--limit", "\($0)"] } ?? [])
        }
    }

    /// Which of a run's checkpoints is scored and analysed.
    enum Checkpoint: String, CaseIterable {
        case latest
        /// The checkpoint of the lowest validation loss.
        case best
    }

    var name = ""
    /// The folder of the runs and of the summary.
    public private(set) var out = ""
    /// The configuration of runs that name none; relative to the specification.
    var base: String?
    var runs: [Run] = []
    /// Seeds of runs that name none; empty: once, with the configuration's own.
    var seeds: [UInt64] = []
    public private(set) var ranks = 1
    /// Threads per rank; nil: as configured, or the processors shared out.
    public private(set) var threads: Int?
    /// How runs are scored; nil: not at all.
    var evaluate: Scoring? = Scoring()
    var analyze = false
    var checkpoint = Checkpoint.latest

    /// What a run is trained with; nil: with the configuration's own seed.
    func seeds(of run: Run) -> [UInt64?] {
        let seeds = run.seeds.isEmpty ? seeds : run.seeds
        return seeds.isEmpty ? [nil] : seeds
    }

    /// The name of a run's folder.
    static func name(_ run: Run, seed: UInt64?) -> String { run.name + (seed.map { "-seed-\($0)" } ?? "") }

    /// Arguments of `strata evaluate`; nil: no scores.
    var evaluationArguments: [String]? { evaluate.map { $0.arguments + checkpointArguments } }
    /// Arguments of `strata analyze`; nil: no analysis.
    var analysisArguments: [String]? { analyze ? checkpointArguments : nil }
    private var checkpointArguments: [String] { ["--checkpoint", checkpoint.rawValue] }

    /// What the sweep's folder has for itself.
    private static let reservedNames = ["configurations", "logs", "summary.md", "summary.csv", "summary.json", "report.html"]

    static var form: ConfigurationForm<SweepSpecification> {
        .section(
            [
                .init("name", \.name, .fileName, isRequired: true),
                .init("out", \.out, .text("the path of a folder"), isRequired: true),
                .init("base", \.base, .optional(.text("the path of a configuration"))),
                .init("runs", \.runs, .list(of: Run.form, count: 1...10_000), isRequired: true),
                .init("seeds", \.seeds, .seeds),
                .init("ranks", \.ranks, .integer(1...4096)),
                .init("threads", \.threads, .either("auto", or: .integer(1...1024))),
                .init("evaluate", \.evaluate, .either("none", or: Scoring.form)),
                .init("analyze", \.analyze, .boolean),
                .init("checkpoint", \.checkpoint, .choice),
            ],
            over: SweepSpecification())
    }

    /// Reads a specification's file.
    ///
    /// - Throws: `ConfigurationError` with every problem found.
    public static func load(file: String) throws -> SweepSpecification {
        try form.read(root: ConfigurationFile.load(file)) { $0.validate($1) }
    }

    private func validate(_ problems: ConfigurationProblems) {
        var names: Set<String> = []
        for (index, run) in runs.enumerated() {
            problems.require(
                names.insert(run.name).inserted, "runs[\(index)].name", "runs",
                text: "must be different for each run, but is \(run.name) again")
            problems.require(
                !Self.reservedNames.contains(run.name), "runs[\(index)].name", "runs",
                text: "must not be \(run.name), which the sweep's folder has for itself")
            problems.require(
                base != nil || run.config != nil, "runs[\(index)].config", "runs",
                text: "is required where base is not given, but run \(run.name) has none")
        }
        let lists = [("seeds", seeds)] + runs.enumerated().map { ("runs[\($0)].seeds", $1.seeds) }
        for (path, seeds) in lists {
            problems.require(Set(seeds).count == seeds.count, path, text: "must hold each seed once, but holds one again")
        }
        let folders = runs.flatMap { run in Set(seeds(of: run)).map { Self.name(run, seed: $0) } }
        problems.require(
            Set(folders).count == folders.count || Set(runs.map(\.name)).count < runs.count, "runs",
            text: "must have folders of their own, but with its seed one run's name is another's")
        problems.require(
            evaluate?.split != .train, "evaluate.split", text: "must be test or valid, but is train: its text is not kept")
    }
}

extension SweepSpecification.Run {
    static var form: ConfigurationForm<Self> {
        .section(
            [
                .init("name", \.name, .fileName, isRequired: true),
                .init("config", \.config, .optional(.text("the path of a configuration"))),
                .init("set", \.set, .list(of: .text("an override such as training.updates=1000"), count: 0...1000)),
                .init("seeds", \.seeds, .seeds),
            ],
            over: Self())
    }
}

extension SweepSpecification.Scoring {
    static var form: ConfigurationForm<Self> {
        .section(
            [
                .init("split", \.split, .choice),
                .init("beam", \.beam, .integer(1...64)),
                .init("limit", \.limit, .optional(.integer(1...1_000_000_000))),
            ],
            over: Self())
    }
}

extension ConfigurationForm where Value == [UInt64] {
    fileprivate static var seeds: Self { .list(of: .integer(0...UInt64.max), count: 0...1000) }
}

extension ConfigurationForm where Value == String {
    /// What names a folder, a column and a line of a table.
    fileprivate static var fileName: Self {
        let text = Self.text("a name of letters, digits, -, _ and .")
        return Self(
            allowed: text.allowed,
            read: { node, path, problems in
                guard let name = text.read(node, path, problems) else { return nil }
                let isSound =
                    !name.hasPrefix(".")
                    && name.allSatisfy {
                        $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0))
                    }
                guard isSound else {
                    problems.reject(path, node, allowed: text.allowed)
                    return nil
                }
                return name
            }, write: text.write)
    }
}
