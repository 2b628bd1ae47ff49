import ArgumentParser
import Collectives
import DataPipeline
import Evaluation
import Foundation
import Reporting
import Runs

/// `strata evaluate`: BLEU, chrF and exact match per direction and on average.
struct EvaluateCommand: ParsableCommand, RunsOnRanks {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Translate a split with beam search and score it, per direction and on average.",
        discussion: """
            BLEU and chrF are sacreBLEU's. RC is the requested capacity: the strata that tokens pass, on average, with the \
            reference given. Under mpirun the ranks share the sentences. Scores of a whole split stay in the run folder, as \
            evaluation-<split>.json, for strata report.

            Example:
              strata evaluate runs/quickstart
              strata evaluate runs/quickstart --split valid --json
            """)

    @Argument(help: ArgumentHelp("The folder of the run, or of an export.", valueName: "run"))
    var folder: String

    @Option(help: ArgumentHelp("The part of the data: test or valid.", valueName: "name"))
    var split = "test"

    @Option(help: ArgumentHelp("Only this direction; may be repeated.", valueName: "src-tgt"))
    var direction: [String] = []

    @Option(help: ArgumentHelp("Only the first sentences of each direction.", valueName: "n"))
    var limit: Int?

    @Option(help: ArgumentHelp("Also show this many translations of each direction.", valueName: "n"))
    var samples = 0

    @OptionGroup var checkpoint: CheckpointOptions

    @OptionGroup var search: SearchOptions

    @Flag(help: .json)
    var json = false

    func run() throws {
        let status = try RankWorld.run { ranks in
            let (split, search) = try ranks.together { (try requestedSplit(), try self.search.beamSearch()) }
            return try evaluate(split, search, on: ranks)
        }
        if status != .done { throw ExitCode(status.rawValue) }
    }

    private func requestedSplit() throws -> Split {
        if let limit, limit < 1 { throw CommandFailure(.usage, "--limit must be at least 1, but is \(limit)") }
        // The text of the training split, which the scores compare with, is not kept.
        guard let split = Split(rawValue: split), split != .train else {
            throw CommandFailure(.usage, "--split must be test or valid, but is \(self.split)")
        }
        return split
    }

    private func evaluate(_ split: Split, _ search: BeamSearch, on ranks: RankWorld) throws -> ExitStatus {
        let trained = try TrainedModel.load(folder, checkpoint.choice(), on: ranks)
        let (corpus, directions) = try ranks.together {
            let corpus = try trained.corpus(of: folder)
            if ranks.isFirst { try corpus.verify(split) }
            return (corpus, try trained.available(direction, corpus, split))
        }
        let display = ranks.isFirst ? ProgressDisplay() : nil
        let translator = Translator(model: trained.model, tokenizer: trained.tokenizer, search: search)
        var scores: [DirectionScore] = []
        for direction in directions {
            let (sources, references) = try ranks.together { try corpus.references(direction, split) }
            let count = min(limit ?? sources.count, sources.count)
            let mine = stride(from: ranks.world.rank, to: count, by: ranks.world.size).map { $0 }
            let translations = try translator.translate(mine.map { sources[$0] }, to: direction.target) { done in
                display?.show("\(direction)  \(done)/\(mine.count) sentences")
            }
            let hypotheses = try Self.gather(translations, indices: mine, count: count, ranks)
            var score = DirectionScore(
                direction: direction, sources: Array(sources.prefix(count)), references: Array(references.prefix(count)),
                hypotheses: hypotheses)
            if trained.configuration.model.mixture != nil {
                try score.measureCapacity(trained, corpus, split, on: ranks)
            }
            scores.append(score)
        }
        guard ranks.isFirst else { return .done }
        display?.note("update \(trained.step), split \(split.rawValue), beam \(search.beam)")
        let report = EvaluationReport(scores: scores, split: split, update: trained.step, search: search)
        print(json ? try report.result.json() : report.text(samples: samples), terminator: "")
        if isWhole { save(report.result, RunFolder(path: folder).evaluation(split)) }
        return .done
    }

    /// Whether the whole split is scored: of a part, no figures are kept.
    private var isWhole: Bool { direction.isEmpty && limit == nil }

    /// The figures are on standard output already; a run folder that is not to be written to is no failure.
    private func save(_ result: EvaluationResult, _ path: String) {
        do { try result.save(to: path) } catch {
            FileHandle.standardError.write(Data("strata: warning: \(error); strata report will not show these scores\n".utf8))
        }
    }

    /// Every rank's translations, put in the order of the text, on every rank.
    private static func gather(
        _ translations: [String], indices: [Int], count: Int, _ ranks: RankWorld
    ) throws -> [String] {
        let bytes = try JSONEncoder().encode(translations)
        var result = [String](repeating: "", count: count)
        for (rank, part) in try ranks.world.allGather(varying: [UInt8](bytes)).enumerated() {
            let texts = try JSONDecoder().decode([String].self, from: Data(part))
            for (offset, text) in texts.enumerated() { result[rank + offset * ranks.world.size] = text }
        }
        return result
    }
}
