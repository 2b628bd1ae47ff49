import ArgumentParser
import Collectives
import DataPipeline
import Evaluation
import Foundation
import Reporting
import Runs
import TransformerModel

/// `strata evaluate`: BLEU, chrF and exact match per direction and on average.
struct EvaluateCommand: ParsableCommand, RunsOnRanks {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Translate a test set with beam search and score it, per direction and on average.",
        discussion: """
            Scores are sacreBLEU's. RC is the requested capacity: the strata that tokens pass, on average, with the reference \
            given. --against compares with another run, or with a file of translations, by paired bootstrap resampling and \
            approximate randomization. Under mpirun the ranks share the sentences; with --spread-experts also the experts, for \
            a model that is too large for one. Scores of a whole split stay in the run folder, as evaluation-<split>.json, \
            for strata report.

            Example:
              strata evaluate runs/quickstart
              strata evaluate runs/smoe --against runs/dense --metric ter --json
              strata evaluate runs/m4 --source a --reference b --direction en-de
            """)

    @Argument(help: ArgumentHelp("The folder of the run, or of an export.", valueName: "run"))
    var folder: String

    @OptionGroup var text: TestSetOptions

    @OptionGroup var scoring: MetricOptions

    @Option(
        help: ArgumentHelp(
            "Compare with the translations of another run or export, or with those in a file, line by line.",
            valueName: "run|file"))
    var against: String?

    @Option(parsing: .unconditional, help: ArgumentHelp("Also show this many translations of each direction.", valueName: "n"))
    var samples = 0

    @OptionGroup var spread: SpreadOptions

    @OptionGroup var checkpoint: CheckpointOptions

    @OptionGroup var search: SearchOptions

    @Flag(help: .json)
    var json = false

    func run() throws {
        let status = try RankWorld.run { ranks in
            let (metrics, search) = try ranks.together {
                try text.check()
                if let against { try requirePath(against, of: "--against", names: "a run or a file") }
                return (try scoring.metrics(), try self.search.beamSearch())
            }
            return try evaluate(metrics, search, on: ranks)
        }
        if status != .done { throw ExitCode(status.rawValue) }
    }

    private func evaluate(_ metrics: ScoreMetrics, _ search: BeamSearch, on ranks: RankWorld) throws -> ExitStatus {
        let trained = try TrainedModel.load(
            folder, checkpoint.choice(), averaged: checkpoint.average, on: ranks, spreadsExperts: spread.spreadExperts)
        let contrast = try ranks.together { try self.search.contrast(of: [trained]) }
        let (text, directions) = try ranks.together {
            let opened = try self.text.open(trained, of: folder, isFirst: ranks.isFirst)
            try checkAgainst(opened.1)
            return opened
        }
        let display = ranks.isFirst ? ProgressDisplay() : nil
        var scores: [DirectionScore] = []
        for direction in directions {
            let (sources, references) = try ranks.together { try text.sentences(direction) }
            let count = min(self.text.limit ?? sources.count, sources.count)
            var score = DirectionScore(
                direction: direction, sources: Array(sources.prefix(count)), references: Array(references.prefix(count)),
                hypotheses: try translate(
                    Array(sources.prefix(count)), direction, trained, search, contrast, display, on: ranks))
            if trained.configuration.model.mixture != nil { try score.measureCapacity(trained, text, on: ranks) }
            scores.append(score)
        }
        let other = try against.map { try self.otherTranslations($0, scores, search, display, on: ranks) }
        guard ranks.isFirst else { return .done }
        display?.note(
            "update \(trained.step)\(checkpoint.average ? ", moving average" : ""), \(text.title), beam \(search.beam)"
                + (contrast.map { ", contrast \($0.text)" } ?? ""))
        var report = EvaluationReport(
            scores: scores, metrics: metrics, text: text.name, update: trained.step, ofAverage: checkpoint.average,
            search: search, contrast: contrast)
        // What reports show of a run is the plain search's.
        if contrast == nil, self.text.isWhole, case let .split(_, split) = text {
            save(report.result, RunFolder(path: folder).evaluation(split))
        }
        if let against, let other { report.compare(with: other.translations, name: against, update: other.update) }
        print(json ? try report.result.json() : report.text(samples: samples), terminator: "")
        return .done
    }

    /// The figures are for standard output; a run folder that is not to be written to is no failure.
    private func save(_ result: EvaluationResult, _ path: String) {
        do { try result.save(to: path) } catch { warn("\(error); strata report will not show these scores") }
    }

    /// Every sentence's translation, on every rank.
    private func translate(
        _ sources: [String], _ direction: Direction, _ trained: TrainedModel, _ search: BeamSearch,
        _ contrast: Contrast?, _ display: ProgressDisplay?, on ranks: RankWorld
    ) throws -> [String] {
        let translator = Translator(
            models: [trained.model], tokenizer: trained.tokenizer, search: search, contrast: contrast,
            expertGroup: trained.expertGroup)
        let mine = ranks.share(of: sources)
        let translations = try translator.translate(mine, to: direction.target) { done in
            display?.show("\(direction)  \(done)/\(mine.count) sentences")
        }
        return try ranks.inOrder(translations, count: sources.count)
    }
}

extension EvaluateCommand {
    /// A file has the translations of one direction.
    private func checkAgainst(_ directions: [Direction]) throws {
        guard let against, !Self.isFolder(against), directions.count > 1 else { return }
        throw CommandFailure(
            .usage, "--against \(against): a file holds the translations of one direction: name it with --direction")
    }

    private static func isFolder(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
    }

    /// The other translations, by direction, and how long their model was trained; nil of a file.
    private func otherTranslations(
        _ path: String, _ scores: [DirectionScore], _ search: BeamSearch, _ display: ProgressDisplay?, on ranks: RankWorld
    ) throws -> (translations: [[String]], update: Int?) {
        guard Self.isFolder(path) else {
            let lines = try ranks.together {
                let lines = try TextLines.all(of: path)
                guard lines.count == scores[0].sources.count else {
                    throw CommandFailure(
                        .data,
                        "\(path): must have a line for each of the \(scores[0].sources.count) sentences, but has \(lines.count)"
                    )
                }
                return lines
            }
            return ([lines], nil)
        }
        let trained = try TrainedModel.load(path, .latest, on: ranks, spreadsExperts: spread.spreadExperts)
        try ranks.together {
            _ = try trained.directions(named: scores.map(\.direction.description), untrained: text.zeroShot)
        }
        // Plainly, so that a run with contrast can be compared with itself.
        let translations = try scores.map { score in
            try translate(score.sources, score.direction, trained, search, nil, display, on: ranks)
        }
        return (translations, trained.step)
    }
}
